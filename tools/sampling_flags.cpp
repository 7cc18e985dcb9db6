// The flags of sampling and of grammars: declared, checked for those that could not act, and made
// into what the sampler takes.
#include <CLI/CLI.hpp>
#include <algorithm>

#include "src/base/error.h"
#include "src/text/grammar/gbnf.h"
#include "src/text/grammar/json_schema.h"
#include "tools/files.h"
#include "tools/generation.h"

namespace windlass {
namespace {

void take_all(CLI::Option* option) {
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
}

void add_penalty_options(CLI::App& app, Options& o) {
  SamplingOptions& s = o.sampling;
  app.add_option("--repeat-last-n", s.repeat_last_n,
                 "tokens that the three penalties look back on; 0: off, -1: the context");
  app.add_option("--repeat-penalty", s.repeat_penalty, "of tokens that occurred; 1: off");
  app.add_option("--presence-penalty", s.presence_penalty,
                 "once for a token that occurred; 0: off");
  app.add_option("--frequency-penalty", s.frequency_penalty, "for each occurrence; 0: off");
  app.add_option("--dry-multiplier", s.dry_multiplier,
                 "DRY, against repeated sequences: penalty = multiplier * base ^ (length - allowed "
                 "length); 0: off");
  app.add_option("--dry-base", s.dry_base, "");
  app.add_option("--dry-allowed-length", s.dry_allowed_length, "repetition that costs nothing");
  app.add_option("--dry-penalty-last-n", s.dry_penalty_last_n,
                 "tokens that DRY looks back on; 0: off, -1: the context");
  take_all(app.add_option("--dry-sequence-breaker", o.dry_sequence_breakers,
                          "text that no repetition reaches over, may be repeated; replaces the "
                          "default ones; none: there are none"));
}

void add_choice_options(CLI::App& app, Options& o) {
  SamplingOptions& s = o.sampling;
  app.add_option("--top-nsigma", s.top_n_sigma,
                 "keep logits within n standard deviations of the best; -1: off");
  app.add_option("--top-k", s.top_k, "keep the k likeliest; 0: off");
  app.add_option("--typical", s.typical_p, "locally typical sampling; 1: off");
  app.add_option("--top-p", s.top_p, "keep the likeliest that reach p together; 1: off");
  app.add_option("--min-p", s.min_p, "keep what is at least p times as likely as the best; 0: off");
  app.add_option("--xtc-probability", s.xtc_probability,
                 "how often the top choices are excluded; 0: off");
  app.add_option("--xtc-threshold", s.xtc_threshold,
                 "a top choice is at least so likely; above 0.5: off");
  app.add_option("--temp", s.temperature, "temperature; 0: greedy");
}

struct Dependence {
  const char* flag;
  bool acts;
  const char* needs;
};

void require_acting(const Invocation& invocation, const Dependence& dependence) {
  if (invocation.given(dependence.flag) && !dependence.acts)
    fail(ErrorCode::kUsage, "--{} cannot act: {}", dependence.flag, dependence.needs);
}

void require_acting_mirostat(const Invocation& invocation) {
  const bool on = invocation.options.sampling.mirostat != 0;
  for (const char* flag : {"mirostat-ent", "mirostat-lr"})
    require_acting(invocation, {flag, on, "it needs --mirostat 1 or 2"});
  for (const char* flag :
       {"samplers", "top-k", "top-p", "min-p", "typical", "top-nsigma", "xtc-probability",
        "repeat-penalty", "presence-penalty", "frequency-penalty", "dry-multiplier"}) {
    require_acting(invocation, {flag, !on, "--mirostat replaces all samplers but temperature"});
  }
}

// A sampler that is switched on must be in the chain.
void require_in_chain(const SamplingOptions& s, SamplerStage stage, bool on, const char* flag) {
  if (on && std::find(s.stages.begin(), s.stages.end(), stage) == s.stages.end()) {
    fail(ErrorCode::kUsage, "{} cannot act: --samplers {} leaves it out", flag,
         sampler_stages_text(s.stages));
  }
}

void check_chain(const Invocation& invocation, const SamplingOptions& s) {
  const auto given = [&](const char* flag) { return invocation.given(flag); };
  require_in_chain(s, SamplerStage::kPenalties, uses_penalties(s), "a repeat penalty");
  require_in_chain(s, SamplerStage::kDry, uses_dry(s), "--dry-multiplier");
  require_in_chain(s, SamplerStage::kTopNSigma, s.top_n_sigma >= 0, "--top-nsigma");
  require_in_chain(s, SamplerStage::kTopK, given("top-k"), "--top-k");
  require_in_chain(s, SamplerStage::kTypicalP, s.typical_p < 1, "--typical");
  require_in_chain(s, SamplerStage::kTopP, given("top-p"), "--top-p");
  require_in_chain(s, SamplerStage::kMinP, given("min-p"), "--min-p");
  require_in_chain(s, SamplerStage::kXtc, uses_xtc(s), "--xtc-probability");
  require_in_chain(s, SamplerStage::kTemperature, given("temp"), "--temp");
}

}  // namespace

void add_sampling_options(CLI::App& app, Options& o) {
  SamplingOptions& s = o.sampling;
  app.add_option("--samplers", o.samplers, "which stages narrow the choice down, in this order");
  take_all(
      app.add_option("--logit-bias", o.logit_bias,
                     "ID+BIAS or ID-BIAS, such as 15043-1.5 or 2-inf; before all samplers; may "
                     "be repeated"));
  add_penalty_options(app, o);
  add_choice_options(app, o);
  app.add_option("--mirostat", s.mirostat,
                 "1 or 2: keep the surprise near a target, in place of all samplers but "
                 "temperature; 0: off");
  app.add_option("--mirostat-ent", s.mirostat_tau, "target surprise in bits");
  app.add_option("--mirostat-lr", s.mirostat_eta, "learning rate");
  add_seed_option(
      app, s.seed,
      "of the random choice; the same logits and seed give the same text on any machine");
}

void add_grammar_options(CLI::App& app, Options& o) {
  app.add_option("--grammar", o.grammar, "only text of this GBNF grammar may come out");
  app.add_option("--grammar-file", o.grammar_file, "as --grammar, from a file");
  app.add_option("--json-schema", o.json_schema, "only JSON of this schema may come out");
  app.add_option("--json-schema-file", o.json_schema_file, "as --json-schema, from a file");
}

SamplingOptions make_sampling_options(const Invocation& invocation) {
  const Options& o = invocation.options;
  SamplingOptions s = o.sampling;
  s.stages = parse_sampler_stages(o.samplers);
  for (const std::string& bias : o.logit_bias) s.logit_bias.push_back(parse_logit_bias(bias));
  s.dry_sequence_breakers = o.dry_sequence_breakers;
  std::erase(s.dry_sequence_breakers, "none");
  require_acting_mirostat(invocation);
  const bool repeats = s.repeat_penalty != 1 || s.presence_penalty != 0 || s.frequency_penalty != 0;
  require_acting(invocation, {"repeat-last-n", repeats,
                              "it needs --repeat-penalty, --presence-penalty or "
                              "--frequency-penalty"});
  for (const char* flag :
       {"dry-base", "dry-allowed-length", "dry-penalty-last-n", "dry-sequence-breaker"}) {
    require_acting(invocation, {flag, s.dry_multiplier > 0, "it needs --dry-multiplier"});
  }
  require_acting(invocation,
                 {"xtc-threshold", s.xtc_probability > 0, "it needs --xtc-probability"});
  if (s.mirostat == 0) check_chain(invocation, s);
  check_sampling_options(s, INT32_MAX);
  return s;
}

std::optional<Automaton> make_grammar(const Invocation& invocation) {
  const Options& o = invocation.options;
  const bool gbnf = invocation.given("grammar") || invocation.given("grammar-file");
  const int n = invocation.given("grammar") + invocation.given("grammar-file") +
                invocation.given("json-schema") + invocation.given("json-schema-file");
  if (n == 0) return std::nullopt;
  if (n > 1) {
    fail(ErrorCode::kUsage,
         "give one of --grammar TEXT, --grammar-file FILE, --json-schema TEXT, --json-schema-file "
         "FILE");
  }
  if (o.ignore_eos)
    fail(ErrorCode::kUsage, "--ignore-eos cannot act: the text ends where the grammar does");
  const TextLimit limit = {std::min(kMostGrammarBytes, kMostSchemaBytes),
                           "the most that a grammar may be"};
  const std::string& file = gbnf ? o.grammar_file : o.json_schema_file;
  const std::string text = !file.empty() ? read_text_file(file, limit)
                           : gbnf        ? o.grammar
                                         : o.json_schema;
  return gbnf ? compile_grammar(parse_gbnf(text), "grammar")
              : compile_grammar(json_schema_grammar(text), "JSON schema");
}

}  // namespace windlass

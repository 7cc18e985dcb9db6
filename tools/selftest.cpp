// windlass selftest: is the answer the same wherever the weights lie, on this machine, for this
// model?
#include "pipeline/eval/selftest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "pipeline/open_gpu.h"
#include "src/base/error.h"
#include "tools/json_output.h"
#include "tools/session.h"

namespace windlass {
namespace {

constexpr std::size_t kDefaultPromptTokens = 48;
// About 60 tokens of most vocabularies.
constexpr std::string_view kDefaultPrompt =
    "The keeper of the lighthouse wrote down, each evening, the height of the tide, the colour of "
    "the sky and the names of the ships that had passed. When the winter storms came he wrote "
    "less, for the lamp took all his time; but in spring the book filled up again, page after "
    "page.";

bool has_prompt(const Invocation& invocation) {
  return invocation.given("prompt") || invocation.given("file") || invocation.given("ids");
}

// Spread over the vocabulary, so that embedding rows of many blocks are read.
std::vector<std::int32_t> made_up_ids(const Model& model) {
  std::vector<std::int32_t> ids(
      std::min(kDefaultPromptTokens, static_cast<std::size_t>(model.spec.context_length)));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] =
        static_cast<std::int32_t>((static_cast<std::int64_t>(i) * 797 + 13) % model.spec.n_vocab);
  }
  return ids;
}

std::vector<std::int32_t> default_prompt(const Model& model, const Tokenizer& tokenizer) {
  try {
    std::vector<std::int32_t> ids =
        tokenizer.encode(kDefaultPrompt, {.parse_special = false, .add_special = true});
    ids.resize(std::min(
        {ids.size(), kDefaultPromptTokens, static_cast<std::size_t>(model.spec.context_length)}));
    return ids;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    return made_up_ids(model);  // a model without a tokenizer
  }
}

std::vector<Isa> isas_to_test(const Options& options) {
  if (!options.isa.empty()) return {choose_isa(options.isa)};
  std::vector<Isa> isas = {best_isa()};
  for (const Isa isa : kAllIsas) {
    if (isa != isas.front()) isas.push_back(isa);
  }
  return isas;
}

}  // namespace

int selftest_command(const Invocation& invocation) {
  const Options& options = invocation.options;
  SelftestInput input;
  input.base = make_engine_options(options);
  const Model model = open_model(require_model(options));
  std::vector<std::string> no_text_needed;
  const auto tokenizer = make_tokenizer_or_ids(model, &no_text_needed);
  input.prompt = has_prompt(invocation) ? read_prompt_ids(invocation, model, *tokenizer)
                                        : default_prompt(model, *tokenizer);
  const auto n_tokens = static_cast<std::int64_t>(input.prompt.size());
  if (n_tokens < 2) fail(ErrorCode::kUsage, "the prompt has one token: give at least 2");
  require_context(options, model, n_tokens, 0);
  input.isas = isas_to_test(options);
  input.base.table_bytes =
      tokenizer->size_bytes() + id_list_bytes(options, n_tokens) + selftest_bytes(model, n_tokens);
  ProgressDisplay display(options.progress);
  Profile profile = obtain_profile(options, input.base, model.path, display);
  use_gpu(input.base, profile);
  if (!options.json) print(format_header());
  SelftestHooks hooks;
  hooks.on_open = [](const Engine& engine) { check_memory(engine); };
  hooks.on_case = [&](const SelftestRow& row) {
    if (!options.json) print(format_row(row));
  };
  const SelftestReport report = run_selftest(model, input, profile, hooks);
  if (options.json) {
    print_json(to_json(report));
  } else {
    print(format_summary(report));
  }
  return report.passed() ? 0 : 1;
}

}  // namespace windlass

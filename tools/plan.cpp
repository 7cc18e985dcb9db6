// windlass plan: what will be where, how fast, why, and the next best plan; and which settings that
// follows from.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "pipeline/memory_limits.h"
#include "pipeline/plan_report.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "src/text/sampler.h"
#include "tools/files.h"
#include "tools/json_output.h"
#include "tools/session.h"
#include "tools/what_if.h"

namespace windlass {
namespace {

constexpr std::int64_t kDefaultContextTokens = 512;

// Of a machine with ram_bytes in all: what `--ram auto` would take there (see auto_ram_bytes()).
std::int64_t auto_ram_of(std::int64_t ram_bytes) { return ram_bytes - ram_bytes / 16 - 48 * kMiB; }

void apply_ram(const WhatIf& what_if, EngineOptions& engine_options) {
  if (!what_if.ram_bytes) return;
  if (engine_options.ram_bytes && *engine_options.ram_bytes > *what_if.ram_bytes) {
    fail(ErrorCode::kUsage, "--ram {} is more than the {} of --what-if ram",
         format_size(*engine_options.ram_bytes), format_size(*what_if.ram_bytes));
  }
  if (!engine_options.ram_bytes) {
    engine_options.ram_bytes = auto_ram_of(*what_if.ram_bytes);
    if (*engine_options.ram_bytes > 0) return;
    fail(ErrorCode::kUsage,
         "--what-if ram={}: a machine of so little memory has no room for more than the 48 MiB of "
         "code and libraries; name a larger one",
         format_size(*what_if.ram_bytes));
  }
}

// `run` would refuse or warn alike; a plan is only a plan.
void warn_of_memory(const PlanReport& report) {
  const std::int64_t reserved_bytes = report.pinned_bytes + report.ring_bytes + report.kv_bytes +
                                      report.activation_bytes + report.staging_bytes +
                                      report.table_bytes;
  const MemoryVerdict verdict = judge_memory(reserved_bytes, read_memory_limits());
  if (verdict.kind == MemoryVerdict::Kind::kFits) return;
  fmt::print(stderr, "windlass: warning: {}\n", verdict.reason);
}

nlohmann::json settings_json(const std::vector<Setting>& settings) {
  nlohmann::json json = nlohmann::json::object();
  for (const Setting& setting : settings) {
    json[setting.name] = {{"value", setting.value}, {"origin", origin_name(setting.origin)}};
  }
  return json;
}

std::string settings_text(const std::vector<Setting>& settings) {
  std::string text = "configuration\n";
  for (const Setting& setting : settings) {
    text += fmt::format("  {:<14} {:<24} {}\n", setting.name,
                        setting.value.empty() ? "-" : setting.value, origin_name(setting.origin));
  }
  return text;
}

}  // namespace

int plan_command(const Invocation& invocation) {
  Options options = invocation.options;
  if (options.depth_tokens < 0)
    fail(ErrorCode::kUsage, "-d {}: must not be negative", options.depth_tokens);
  EngineOptions engine_options = make_engine_options(options);
  const WhatIf what_if = options.what_if.empty() ? WhatIf{} : parse_what_if(options.what_if);
  if (!what_if.profile_path.empty()) options.profile = what_if.profile_path;
  apply_ram(what_if, engine_options);

  const Model model = open_model(require_model(options));
  engine_options.context_tokens = options.context_tokens > 0
                                      ? options.context_tokens
                                      : std::max(kDefaultContextTokens, options.depth_tokens + 1);
  if (options.depth_tokens >= engine_options.context_tokens) {
    fail(ErrorCode::kUsage, "-d {}: the context of {} tokens (-c) has no room for one more",
         options.depth_tokens, engine_options.context_tokens);
  }
  // What `run` holds beside the engine.
  std::vector<std::string> text_notes;  // a plan has no text to speak of
  engine_options.table_bytes = make_tokenizer_or_ids(model, &text_notes)->size_bytes() +
                               Sampler(options.sampling, model.spec.n_vocab).size_bytes() +
                               id_list_bytes(options, engine_options.context_tokens);
  ProgressDisplay display(options.progress);
  Profile profile = obtain_profile(options, engine_options, model.path, display);
  apply_what_if(what_if, profile);
  const PlanReport report = make_plan_report(model, engine_options, profile, options.depth_tokens);
  if (!what_if.ram_bytes) warn_of_memory(report);
  if (options.json) {
    nlohmann::json json = report.json();
    json["configuration"] = settings_json(invocation.settings);
    print_json(json);
  } else {
    print(report.text() + settings_text(invocation.settings));
  }
  return 0;
}

}  // namespace windlass

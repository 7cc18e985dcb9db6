// windlass plan: what will be where, how fast, why, and the next best plan; and which settings that
// follows from.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "pipeline/memory_limits.h"
#include "pipeline/open_gpu.h"
#include "pipeline/plan_report.h"
#include "src/base/error.h"
#include "src/base/output_file.h"
#include "src/base/units.h"
#include "src/text/sampler.h"
#include "tools/files.h"
#include "tools/json_output.h"
#include "tools/outputs.h"
#include "tools/session.h"
#include "tools/what_if.h"

namespace windlass {
namespace {

constexpr std::int64_t kDefaultContextTokens = 512;

// Of a machine with ram_bytes in all: what `--ram auto` would take there (see auto_ram_bytes()).
std::int64_t auto_ram_of(std::int64_t ram_bytes) { return ram_bytes - ram_bytes / 16 - 48 * kMiB; }

// Of its GPU's memory: a CUDA context takes some 0.5 GiB, the display and fragments another bit.
std::int64_t auto_vram_of(std::int64_t vram_bytes) {
  return vram_bytes - std::min(kGiB, vram_bytes / 4);
}

void apply_ram(std::int64_t ram_bytes, EngineOptions& engine_options) {
  if (engine_options.ram_bytes && *engine_options.ram_bytes > ram_bytes) {
    fail(ErrorCode::kUsage, "--ram {} is more than the {} of --what-if ram",
         format_size(*engine_options.ram_bytes), format_size(ram_bytes));
  }
  if (!engine_options.ram_bytes) {
    engine_options.ram_bytes = auto_ram_of(ram_bytes);
    if (*engine_options.ram_bytes > 0) return;
    fail(ErrorCode::kUsage,
         "--what-if ram={}: a machine of so little memory has no room for more than the 48 MiB of "
         "code and libraries; name a larger one",
         format_size(ram_bytes));
  }
}

void apply_vram(const std::string& vram, const Profile& profile, EngineOptions& engine_options) {
  const bool automatic = vram == "auto";
  const std::int64_t asked_bytes = automatic ? 0 : parse_size(vram, "--vram");
  if (!profile.gpu) {
    if (asked_bytes == 0) return;
    fail(ErrorCode::kUsage,
         "--vram {}: the machine of --what-if has no GPU; give it one, such as with vram={}", vram,
         vram);
  }
  const std::int64_t has_bytes = profile.gpu->vram_bytes;
  if (asked_bytes > has_bytes) {
    fail(ErrorCode::kUsage, "--vram {} is more than the {} of the GPU of --what-if",
         format_size(asked_bytes), format_size(has_bytes));
  }
  engine_options.vram_bytes = automatic ? auto_vram_of(has_bytes) : asked_bytes;
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
  const bool elsewhere = !options.what_if.empty();
  const WhatIf what_if = elsewhere ? parse_what_if(options.what_if) : WhatIf{};
  if (!what_if.profile_path.empty()) options.profile = what_if.profile_path;
  if (elsewhere)
    options.vram = std::string("0");  // of this machine; the other's is looked at below
  EngineOptions engine_options = make_engine_options(options);
  const Model model = open_model(require_model(options));
  check_outputs(options, model.tensors.files);
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
  if (!elsewhere) use_gpu(engine_options, profile);
  apply_what_if(what_if, profile);
  if (what_if.names_ram()) apply_ram(profile.ram_bytes, engine_options);
  if (elsewhere) apply_vram(invocation.options.vram, profile, engine_options);
  const PlanReport report = make_plan_report(model, engine_options, profile, options.depth_tokens);
  if (!what_if.names_ram()) warn_of_memory(report);
  if (!options.timeline.empty()) write_whole_file(options.timeline, report.timeline_svg());
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

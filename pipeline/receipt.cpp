#include "pipeline/receipt.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "src/base/units.h"

namespace windlass {
namespace {

double per_second(std::int64_t amount, double seconds) {
  return seconds > 0 ? static_cast<double>(amount) / seconds : 0;
}

nlohmann::json link_json(const LinkUse& link) {
  return {{"bytes", link.bytes},
          {"busy_s", link.busy_s},
          {"gib_per_s", per_second(link.bytes, link.busy_s) / static_cast<double>(kGiB)}};
}

nlohmann::json phase_json(const PhaseReceipt& phase) {
  nlohmann::json json = {{"tokens", phase.tokens},
                         {"steps", phase.steps},
                         {"wall_s", phase.wall_s},
                         {"tok_s", per_second(phase.tokens, phase.wall_s)},
                         {"predicted_s_per_step", phase.predicted_s_per_step},
                         {"bound_s_per_step", phase.bound_s_per_step},
                         {"achieved_s_per_step", phase.achieved_s_per_step()},
                         {"of_bound", phase.of_bound()},
                         {"bottleneck", phase.bottleneck},
                         {"cpu_busy_s", phase.cpu_busy_s},
                         {"threads_busy_s", phase.threads_busy_s},
                         {"links", {{"disk_to_host", link_json(phase.disk_to_host)}}}};
  if (phase.uses_vram()) {
    json["links"]["host_to_vram"] = link_json(phase.host_to_vram);
    json["links"]["vram_to_host"] = link_json(phase.vram_to_host);
  }
  if (phase.expert_hits + phase.expert_misses == 0) return json;
  json["experts"] = {{"hits", phase.expert_hits},
                     {"misses", phase.expert_misses},
                     {"hit_rate", phase.expert_hit_rate()},
                     {"expected_hit_rate", phase.expected_expert_hit_rate}};
  return json;
}

std::string phase_line(const char* name, const PhaseReceipt& phase, int threads) {
  if (phase.steps == 0) return {};
  std::string line =
      fmt::format("{}: {} tokens in {}, {:.2f} tok/s", name, phase.tokens,
                  format_seconds(phase.wall_s), per_second(phase.tokens, phase.wall_s));
  line += fmt::format(
      "; a step took {}, predicted {}, bound {} ({:.0f} % of bound, {})\n",
      format_seconds(phase.achieved_s_per_step()), format_seconds(phase.predicted_s_per_step),
      format_seconds(phase.bound_s_per_step), 100 * phase.of_bound(), phase.bottleneck);
  line += fmt::format(
      "  disk_to_host {} at {}, busy {:.0f} %; cpu busy {:.0f} %, its threads "
      "{:.0f} %\n",
      format_size(phase.disk_to_host.bytes),
      format_rate(per_second(phase.disk_to_host.bytes, phase.disk_to_host.busy_s)),
      100 * std::min(1.0, phase.disk_to_host.busy_s / phase.wall_s),
      100 * std::min(1.0, phase.cpu_busy_s / phase.wall_s),
      100 * std::min(1.0, phase.threads_busy_s / phase.wall_s / threads));
  if (phase.uses_vram()) {
    line += fmt::format(
        "  host_to_vram {} at {}; vram_to_host {}\n", format_size(phase.host_to_vram.bytes),
        format_rate(per_second(phase.host_to_vram.bytes, phase.host_to_vram.busy_s)),
        format_size(phase.vram_to_host.bytes));
  }
  if (phase.expert_hits + phase.expert_misses > 0) {
    line += fmt::format(
        "  expert cache: {} of {} matrices were there, {:.0f} % (predicted for even routing: "
        "{:.0f} "
        "%)\n",
        phase.expert_hits, phase.expert_hits + phase.expert_misses, 100 * phase.expert_hit_rate(),
        100 * phase.expected_expert_hit_rate);
  }
  return line;
}

}  // namespace

double PhaseReceipt::of_bound() const {
  return steps > 0 && wall_s > 0 ? std::min(1.0, bound_s_per_step / achieved_s_per_step()) : 0;
}

double PhaseReceipt::expert_hit_rate() const {
  const std::int64_t uses = expert_hits + expert_misses;
  return uses > 0 ? static_cast<double>(expert_hits) / static_cast<double>(uses) : 0;
}

nlohmann::json to_json(const Receipt& receipt) {
  nlohmann::json tiers = nlohmann::json::object();
  for (const TierReceipt& tier : receipt.tiers) {
    tiers[tier_name(tier.tier)] = {{"budget_bytes", tier.budget_bytes},
                                   {"peak_bytes", tier.peak_bytes}};
  }
  return {{"model", receipt.model},
          {"prompt_tokens", receipt.prompt_tokens},
          {"generated_tokens", receipt.generated_tokens},
          {"load_s", receipt.load_s},
          {"load_bytes", receipt.load_bytes},
          {"ttft_s", receipt.ttft_s},
          {"tiers", tiers},
          {"prefill", phase_json(receipt.prefill)},
          {"decode", phase_json(receipt.decode)},
          {"isa", receipt.isa},
          {"gpu", receipt.gpu},
          {"threads", receipt.threads},
          {"io_engine", receipt.io_engine},
          {"direct_io", receipt.direct_io},
          {"notes", receipt.notes}};
}

std::string format_receipt(const Receipt& receipt) {
  std::string text =
      fmt::format("receipt: {}{}{}, {} threads, {}; {} prompt and {} generated tokens\n",
                  receipt.gpu, receipt.gpu.empty() ? "" : " and ", receipt.isa, receipt.threads,
                  receipt.io_engine, receipt.prompt_tokens, receipt.generated_tokens);
  for (const TierReceipt& tier : receipt.tiers) {
    text += fmt::format("{}: {} of {} used at the peak; ", tier_name(tier.tier),
                        format_size(tier.peak_bytes), format_size(tier.budget_bytes));
  }
  text += fmt::format("loaded {} in {}; first token after {}\n", format_size(receipt.load_bytes),
                      format_seconds(receipt.load_s), format_seconds(receipt.ttft_s));
  text += phase_line("prefill", receipt.prefill, receipt.threads);
  text += phase_line("decode", receipt.decode, receipt.threads);
  for (const std::string& note : receipt.notes) text += fmt::format("note: {}\n", note);
  return text;
}

}  // namespace windlass

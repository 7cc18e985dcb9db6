#include "pipeline/plan_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "pipeline/expert_cache.h"
#include "pipeline/session_plan.h"
#include "pipeline/timeline.h"
#include "src/base/units.h"

namespace windlass {
namespace {

PlanReport::Step make_step(const StepForecast& forecast, std::int64_t rows) {
  PlanReport::Step step;
  step.rows = rows;
  step.predicted_s = forecast.prediction.step_s;
  step.bound_s = forecast.bound.step_s;
  step.disk_busy_s = forecast.prediction.disk_busy_s;
  step.cpu_busy_s = forecast.prediction.cpu_busy_s;
  step.disk_bytes = forecast.prediction.disk_bytes;
  step.bottleneck = forecast.bound.bottleneck;
  step.gpu_busy_s = forecast.prediction.gpu_busy_s;
  step.h2d_busy_s = forecast.prediction.h2d_busy_s;
  step.d2h_busy_s = forecast.prediction.d2h_busy_s;
  step.h2d_bytes = forecast.prediction.h2d_bytes;
  step.d2h_bytes = forecast.prediction.d2h_bytes;
  return step;
}

nlohmann::json links_json(const PlanReport::Step& step) {
  return {{"disk_to_host", {{"bytes", step.disk_bytes}, {"busy_s", step.disk_busy_s}}},
          {"host_to_vram", {{"bytes", step.h2d_bytes}, {"busy_s", step.h2d_busy_s}}},
          {"vram_to_host", {{"bytes", step.d2h_bytes}, {"busy_s", step.d2h_busy_s}}},
          {"host_to_disk", {{"bytes", 0}, {"busy_s", 0.0}}}};
}

nlohmann::json vram_json(const VramPlacement& vram) {
  return {{"pinned_weight_bytes", vram.pinned_bytes},
          {"ring_bytes", vram.ring_slots * vram.slot_bytes},
          {"ring_slots", vram.ring_slots},
          {"kv_bytes", vram.kv_bytes},
          {"kv_layers", std::count(vram.kv_home.begin(), vram.kv_home.end(), Tier::kVram)},
          {"activation_bytes", vram.activation_bytes},
          {"table_bytes", vram.table_bytes}};
}

nlohmann::json step_json(const PlanReport::Step& step) {
  return {{"rows", step.rows},
          {"predicted_s_per_step", step.predicted_s},
          {"bound_s_per_step", step.bound_s},
          {"bottleneck", step.bottleneck},
          {"links", links_json(step)},
          {"gpu_busy_s", step.gpu_busy_s},
          {"cpu_busy_s", step.cpu_busy_s}};
}

// With a GPU: who does what of a decode step.
std::string explain_gpu(const PlanReport& report) {
  const PlanReport::Step& step = report.decode;
  const auto share = [&](double busy_s) {
    return 100 * std::min(1.0, busy_s / std::max(step.predicted_s, 1e-12));
  };
  return fmt::format(
      "{} of weights stay in VRAM, and the GPU works {:.0f} % of a decode step; the CPU works "
      "{:.0f} "
      "% of it on what is in memory; {} a step are copied to VRAM ({:.0f} % of the link's time) "
      "and "
      "{} read from disk ({:.0f} %)",
      format_size(report.vram.pinned_bytes), share(step.gpu_busy_s), share(step.cpu_busy_s),
      format_size(step.h2d_bytes), share(step.h2d_busy_s), format_size(step.disk_bytes),
      share(step.disk_busy_s));
}

std::string explain(const PlanReport& report) {
  if (report.vram.in_use()) return explain_gpu(report);
  if (report.streamed_bytes == 0) {
    return fmt::format(
        "all {} that a step touches stay in memory; the CPU's rate on them is the limit",
        format_size(report.touched_bytes));
  }
  const double disk_share = report.decode.disk_busy_s / std::max(report.decode.predicted_s, 1e-12);
  const std::string more = fmt::format(
      "so that the disk works {:.0f} % of the step; {} more --ram would keep everything in memory",
      100 * std::min(1.0, disk_share), format_size(report.all_in_ram_bytes - report.ram_bytes));
  const std::string experts =
      report.expert_slots == 0
          ? std::string()
          : fmt::format(
                "{} of {} expert matrices stay in a cache, where a step finds {:.0f} % of "
                "those it needs if it is routed evenly, ",
                report.expert_slots + report.decode_expert_slots, report.expert_matrices,
                100 * report.expert_hit_rate);
  if (report.ring_slots == 0) return "all weights but experts stay in memory; " + experts + more;
  return fmt::format(
      "{} of the {} that a step touches stay in memory, {} come from disk through {} slots, spread "
      "evenly, {}{}",
      format_size(report.pinned_bytes + report.decode_pinned_bytes),
      format_size(report.touched_bytes), format_size(report.streamed_bytes), report.ring_slots,
      experts, more);
}

// A run sizes activations and staging by its prompt where that is shorter than a micro-batch, and
// pins weights where they would have been: 1 to 2 % of a step where little streams.
std::string assumptions(const PlanReport& report) {
  return fmt::format(
      "a prompt of {} tokens or more (for a shorter one plan with -ub and its number of tokens), "
      "the run's -c, and for decode {} tokens in the KV cache (-d; a receipt predicts at the mean "
      "of its steps); greedy runs hold no table for sampling and may pin a little more{}",
      report.micro_batch_tokens, report.depth_tokens,
      report.expert_slots > 0 ? "; experts wanted evenly, and their cache filled" : "");
}

std::int64_t bytes_of(const BlockTable& blocks, const BlockRange& range) {
  std::int64_t bytes = 0;
  for (std::int32_t i = 0; i < range.count; ++i) {
    bytes += blocks.at(BlockId{index_of(range.first) + i}).extent.size_bytes;
  }
  return bytes;
}

void fill_sizes(PlanReport& report, const SessionPlan& session, const Model& model) {
  const Placement& placement = session.placement();
  report.context_tokens = session.context_tokens;
  report.micro_batch_tokens = session.layout.token_rows;
  report.weight_bytes = model.tensors.weight_bytes();
  for (const BlockId id : touched_blocks(session.graph, session.blocks)) {
    report.touched_bytes += session.blocks.at(id).extent.size_bytes;
  }
  for (const GraphOp& op : session.graph.ops) {
    if (!has_experts(op)) continue;
    const std::int64_t bytes = bytes_of(session.blocks, expert_blocks(op, session.blocks, 0));
    report.touched_bytes += bytes * op.n_chosen;
  }
  report.expert_matrices = std::ssize(session.experts);
  report.expert_slots = placement.expert_slots;
  report.expert_cache_bytes = placement.expert_bytes();
  report.decode_expert_slots = placement.decode_expert_slots;
  report.expert_hit_rate = expected_hit_rate(placement, report.expert_matrices, true);
  report.decode_pinned_bytes = placement.decode_expert_slots * placement.expert_slot_bytes;
  report.pinned_bytes = placement.pinned_bytes;
  for (const PlacedRun& placed : placement.decode_pinned)
    report.decode_pinned_bytes += placed.run.aligned.size_bytes;
  for (const LoadEntry& load : session.decode.loads)
    report.streamed_bytes += load.run.aligned.size_bytes;
  report.ring_slots = placement.ring_slots;
  report.ring_bytes = placement.ring_slots * placement.slot_bytes;
  report.kv_bytes = placement.kv_bytes;
  report.activation_bytes = placement.activation_bytes;
  report.staging_bytes = placement.staging_bytes + placement.vram.staging_bytes();
  report.vram = placement.vram;
  report.table_bytes = placement.table_bytes;
}

void fill_alternatives(PlanReport& report, const SessionPlan& session) {
  HostNeeds none = session.needs;
  none.limit_bytes = 0;
  report.min_ram_bytes = least_limit_bytes(session.graph, session.blocks, session.needs);
  report.all_in_ram_bytes =
      std::get<Infeasible>(place(session.graph, session.blocks, none, 0)).least_bytes;
  if (session.candidates.size() < 2) return;
  report.next_best = session.candidates[1].name;
  report.next_best_s = session.candidates[1].decode.step_s;
}

}  // namespace

PlanReport make_plan_report(const Model& model, const EngineOptions& options,
                            const Profile& profile, std::int64_t depth_tokens) {
  PlanReport report;
  report.model = model.path;
  report.depth_tokens = depth_tokens;
  report.vram_bytes = options.vram_bytes;
  report.ram_bytes = options.ram_bytes ? *options.ram_bytes : auto_ram_bytes();
  const SessionPlan session = make_session_plan(model, options, profile, report.ram_bytes);
  fill_sizes(report, session, model);
  fill_alternatives(report, session);
  const std::int64_t rows = session.layout.token_rows;
  const StepForecast decode =
      forecast(session, model, profile, {1, 1, depth_tokens}, options.overlap, true);
  report.decode_spans = decode.prediction.spans;
  for (const GraphOp& op : session.graph.ops) report.op_labels.push_back(op.label);
  report.decode = make_step(decode, 1);
  report.streamed_bytes += static_cast<std::int64_t>(decode.prediction.expert_read_bytes);
  report.prefill =
      make_step(forecast(session, model, profile, {rows, 1, 0}, options.overlap), rows);
  report.why = explain(report);
  report.assumes = assumptions(report);
  report.would_help = what_would_help(model, options, profile, report.ram_bytes, depth_tokens);
  return report;
}

nlohmann::json PlanReport::json() const {
  nlohmann::json help = nlohmann::json::array();
  for (const Advice& advice : would_help)
    help.push_back({{"change", advice.change}, {"factor", advice.factor}});
  return {{"model", model},
          {"ram_bytes", ram_bytes},
          {"min_ram_bytes", min_ram_bytes},
          {"all_in_ram_bytes", all_in_ram_bytes},
          {"context_tokens", context_tokens},
          {"depth_tokens", depth_tokens},
          {"micro_batch_tokens", micro_batch_tokens},
          {"weight_bytes", weight_bytes},
          {"touched_bytes", touched_bytes},
          {"placement",
           {{"host",
             {{"pinned_weight_bytes", pinned_bytes},
              {"ring_bytes", ring_bytes},
              {"ring_slots", ring_slots},
              {"expert_cache_bytes", expert_cache_bytes},
              {"expert_slots", expert_slots},
              {"expert_slots_in_activations_in_decode", decode_expert_slots},
              {"expert_matrices", expert_matrices},
              {"expected_expert_hit_rate", expert_hit_rate},
              {"kv_bytes", kv_bytes},
              {"activation_bytes", activation_bytes},
              {"weight_bytes_in_activations_in_decode", decode_pinned_bytes},
              {"staging_bytes", staging_bytes},
              {"table_bytes", table_bytes}}},
            {"vram", vram_json(vram)},
            {"disk", {{"streamed_bytes_per_step", streamed_bytes}}}}},
          {"links", links_json(decode)},
          {"predicted_s_per_step", decode.predicted_s},
          {"bound_s_per_step", decode.bound_s},
          {"bottleneck", decode.bottleneck},
          {"steps", {{"prefill", step_json(prefill)}, {"decode", step_json(decode)}}},
          {"next_best", {{"name", next_best}, {"predicted_s_per_step", next_best_s}}},
          {"why", why},
          {"would_help", help},
          {"assumes", assumes}};
}

std::string PlanReport::timeline_svg() const {
  const std::string title = fmt::format("{}: a decode step of {}, --ram {}, --vram {}", model,
                                        format_seconds(decode.predicted_s), format_size(ram_bytes),
                                        format_size(vram_bytes));
  return windlass::timeline_svg(decode_spans, decode.predicted_s, title, op_labels);
}

std::string PlanReport::text() const {
  std::string out = fmt::format("{}: {} of weights, --ram {}, context {} tokens\n", model,
                                format_size(weight_bytes), format_size(ram_bytes), context_tokens);
  const auto row = [&](const char* what, std::int64_t bytes, const std::string& note) {
    out += fmt::format("  {:<22}{:>12}  {}\n", what, format_size(bytes), note);
  };
  row("host: pinned weights", pinned_bytes, "");
  row("host: streaming ring", ring_bytes, fmt::format("{} slots", ring_slots));
  if (expert_slots > 0) {
    row("host: expert cache", expert_cache_bytes,
        fmt::format("{} of {} expert matrices, in decode {}, expected hit rate {:.0f} %",
                    expert_slots, expert_matrices, expert_slots + decode_expert_slots,
                    100 * expert_hit_rate));
  }
  row("host: KV cache", kv_bytes, "");
  row("host: activations", activation_bytes,
      fmt::format("{} rows at once; in decode {} of it hold weights", micro_batch_tokens,
                  format_size(decode_pinned_bytes)));
  row("host: staging, tables", staging_bytes + table_bytes, "");
  row("disk: read each step", streamed_bytes, "");
  if (vram.in_use()) {
    row("vram: pinned weights", vram.pinned_bytes,
        fmt::format("--vram {}", format_size(vram_bytes)));
    row("vram: streaming ring", vram.ring_slots * vram.slot_bytes,
        fmt::format("{} slots", vram.ring_slots));
    row("vram: KV cache", vram.kv_bytes,
        fmt::format("of {} layers",
                    std::count(vram.kv_home.begin(), vram.kv_home.end(), Tier::kVram)));
    row("vram: activations", vram.activation_bytes + vram.table_bytes, "and tables");
  } else if (vram_bytes > 0) {
    out += "  vram: not used, as the CPU alone is predicted to be sooner\n";
  }
  for (const auto& [name, step] : {std::pair{"prefill", &prefill}, std::pair{"decode", &decode}}) {
    out += fmt::format("{}: {} a step of {} ({:.2f} tok/s), bound {} by {}\n", name,
                       format_seconds(step->predicted_s),
                       step->rows == 1 ? std::string("1 row") : fmt::format("{} rows", step->rows),
                       static_cast<double>(step->rows) / step->predicted_s,
                       format_seconds(step->bound_s), step->bottleneck);
  }
  constexpr int kTimelineColumns = 60;
  out += "a decode step (# at work, + for a part, . waiting):\n";
  out += timeline_text(decode_spans, decode.predicted_s, kTimelineColumns);
  out += fmt::format("why: {}\n", why);
  if (!would_help.empty()) {
    out += "what would help:";
    for (const Advice& advice : would_help)
      out += fmt::format("{} {} {:.1f}x", &advice == &would_help.front() ? "" : ";", advice.change,
                         advice.factor);
    out += '\n';
  }
  out += fmt::format("assumes: {}\n", assumes);
  if (!next_best.empty()) {
    out += fmt::format("next best: {}, {} a decode step\n", next_best, format_seconds(next_best_s));
  }
  out += fmt::format("the least --ram that works: {}MiB; everything in memory: {}MiB\n",
                     (min_ram_bytes + kMiB - 1) / kMiB, (all_in_ram_bytes + kMiB - 1) / kMiB);
  return out;
}

}  // namespace windlass

// What `windlass plan` says: what will be where, how fast, why, and the next best plan. Works on a
// header alone.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "pipeline/engine.h"
#include "pipeline/plan_advice.h"
#include "pipeline/schedule.h"
#include "pipeline/simulator.h"

namespace windlass {

struct PlanReport {
  nlohmann::json json() const;
  std::string text() const;

  std::string model;
  std::int64_t ram_bytes = 0, context_tokens = 0, depth_tokens = 0, micro_batch_tokens = 0;
  std::int64_t weight_bytes = 0;         // in the files
  std::int64_t touched_bytes = 0;        // weight bytes a decode step touches, experts as expected
  std::int64_t decode_pinned_bytes = 0;  // in activations that decode leaves unused
  std::int64_t pinned_bytes = 0, streamed_bytes = 0, ring_bytes = 0, kv_bytes = 0,
               activation_bytes = 0, staging_bytes = 0, table_bytes = 0, min_ram_bytes = 0;
  std::int64_t ring_slots = 0;
  // Matrices of routed experts: all, and those that the expert cache holds (0: all are pinned, or
  // there are none).
  std::int64_t expert_matrices = 0, expert_slots = 0, expert_cache_bytes = 0;
  std::int64_t decode_expert_slots = 0;  // more, in activations that decode leaves unused
  double expert_hit_rate = 0;            // expected in decode, of even routing
  struct Step {
    std::int64_t rows = 0;
    double predicted_s = 0, bound_s = 0, disk_busy_s = 0, cpu_busy_s = 0;
    std::int64_t disk_bytes = 0;
    double gpu_busy_s = 0, h2d_busy_s = 0, d2h_busy_s = 0;
    std::int64_t h2d_bytes = 0, d2h_bytes = 0;
    std::string bottleneck;
  } decode, prefill;
  std::int64_t vram_bytes = 0;        // the budget; 0: the CPU alone
  VramPlacement vram;                 // not in use: as planned, the CPU alone is sooner
  std::int64_t all_in_ram_bytes = 0;  // the --ram that would pin everything
  double next_best_s = 0;             // decode step of the runner-up
  std::string next_best;              // what it is
  std::string why;
  std::vector<Advice> would_help;      // the best first
  std::vector<WorkSpan> decode_spans;  // of one decode step
  std::vector<std::string> op_labels;  // by op of the graph
  // A self-contained picture of that step.
  std::string timeline_svg() const;
  std::string assumes;  // what of a run decides whether its receipt predicts the same
};

// Error(kNoSpace) as Engine's constructor.
PlanReport make_plan_report(const Model& model, const EngineOptions& options,
                            const Profile& profile, std::int64_t depth_tokens);

}  // namespace windlass

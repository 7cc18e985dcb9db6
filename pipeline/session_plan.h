// Everything that is decided before a byte moves: the graph, its blocks, the memory each part
// needs, the placement and the plans. The engine runs it, `windlass plan` prints it: the same
// object, so they cannot disagree.
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/activations.h"
#include "pipeline/engine.h"
#include "pipeline/expert_runs.h"
#include "pipeline/placement_vram.h"
#include "pipeline/planner.h"
#include "tiers/kv_pages.h"

namespace windlass {

struct SessionPlan {
  LayerGraph graph;
  BlockTable blocks;
  std::vector<Run> experts;  // expert_runs(): what the expert cache may hold
  KvShape kv;
  // Of a micro-batch, of a row for each sequence; the same in VRAM as in the host.
  ActivationLayout layout, decode_layout;
  HostNeeds needs;
  TierNeeds tiers;  // with a GPU
  const DeviceOpTable* device_ops =
      nullptr;                           // its kernels; null: of a GPU that is only planned for
  std::int64_t context_tokens = 0;       // as asked for: the KV cache is in whole pages
  std::int64_t n_sequences = 1;          // each with a context of its own
  std::int64_t micro_batch_tokens = 0;   // -ub, or its default; layout has no more rows than come
  std::int64_t tile_columns = 0;         // of the logits computed at once
  std::vector<Candidate> candidates;     // best first; [0] is taken
  Plan with_head, without_head, decode;  // over candidates[0].placement
  bool embedding_resident = false;

  const Placement& placement() const { return candidates.front().placement; }
  // The plan that plays a step of this shape; `decode` those of a row for each sequence at most.
  const Plan& plan_for(std::int64_t rows, std::int64_t logits_rows) const {
    if (rows <= n_sequences && logits_rows > 0) return decode;
    return logits_rows > 0 ? with_head : without_head;
  }
};

// Error(kNoSpace) with the least --ram that works (and which context would fit, where the context
// is what does not), or with the least --vram that is of use; Error(kUsage) for a context,
// micro-batch or KV size that makes no sense.
SessionPlan make_session_plan(const Model& model, const EngineOptions& options,
                              const Profile& profile, std::int64_t ram_bytes);

// The least ram_bytes under which make_session_plan() makes a plan, for these options. Cost: that
// of a plan. Error(kUsage) as make_session_plan.
std::int64_t least_ram_bytes(const Model& model, const EngineOptions& options,
                             const Profile& profile);

// What one step of this shape moves and computes.
OpWork step_work(const SessionPlan& session, const Model& model, const Profile& profile,
                 const StepLoad& load);

// Predicted time and bound of one step of this shape; spans: its timeline too.
struct StepForecast {
  Prediction prediction;
  Bound bound;
};
StepForecast forecast(const SessionPlan& session, const Model& model, const Profile& profile,
                      const StepLoad& load, bool overlap, bool spans = false);

}  // namespace windlass

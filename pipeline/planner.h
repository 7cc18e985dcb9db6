// Makes a Plan from (machine, model, workload, budget): chooses the placement by simulating the
// candidates, then writes the schedule of each kind of step over it.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "pipeline/cost_model.h"
#include "pipeline/placement.h"
#include "pipeline/plan_writer.h"
#include "pipeline/simulator.h"

namespace windlass {

struct Candidate {
  Placement placement;
  Prediction decode;     // one decode step
  std::string name;      // "all pinned", "8 ring slots"
  double prefill_s = 0;  // of a micro-batch, where there is a GPU
};

// All candidates that fit, the one to take first: everything pinned; else all but experts, with a
// cache of these; else rings of 2 to 32 slots, beside a small expert cache where there are experts.
// With ring_slots > 0: such rings of that many slots alone. Infeasible when none does.
std::variant<std::vector<Candidate>, Infeasible> choose_placement(
    const LayerGraph& graph, const BlockTable& blocks, const HostNeeds& needs,
    const CostModel& costs, const StepLoad& decode, bool overlap, std::int64_t ring_slots = 0);

// The least time any schedule could take for a step: the larger of the disk's work (bytes touched
// beyond what the whole budget could hold, at the profile's rate) and the CPU's (every op at its
// measured rate). Rows are routed evenly over experts, as far as it knows.
struct Bound {
  double step_s = 0;
  std::string bottleneck;  // "disk_to_host" or "cpu"
};
Bound make_bound(const Plan& plan, const BlockTable& blocks, const CostModel& costs,
                 const StepLoad& load, std::int64_t limit_bytes, bool embedding_resident);

// Whether rows fetched singly come from pinned memory (a tied, wholly pinned embedding).
bool embedding_resident(const LayerGraph& graph, const BlockTable& blocks,
                        const Placement& placement);

}  // namespace windlass

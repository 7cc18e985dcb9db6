// The planner's choice among placements: each that could be best, simulated.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "pipeline/expert_runs.h"
#include "pipeline/planner.h"

namespace windlass {
namespace {

constexpr std::array<std::int64_t, 8> kRingSlots = {kMinRingSlots, 3, 4, 6, 8, 12, 16, 32};
// Beside a ring: a dense byte that streams costs a byte a step, an expert's byte less.
constexpr std::array<std::int64_t, 4> kExpertSlots = {kMinExpertSlots, 4, 8, 16};

// Candidates for one model, budget and machine.
class PlacementChoice {
 public:
  PlacementChoice(const LayerGraph& graph, const BlockTable& blocks, const HostNeeds& needs,
                  const CostModel& costs, const StepLoad& decode, bool overlap)
      : graph_(graph),
        blocks_(blocks),
        needs_(needs),
        costs_(costs),
        decode_(decode),
        overlap_(overlap),
        experts_(expert_runs(graph, blocks)) {}

  bool empty() const { return candidates_.empty(); }
  bool has_experts() const { return !experts_.empty(); }

  // Everything in memory; else, of a mixture, all but its experts.
  void consider_resident() {
    consider(0, "all weights in memory");
    if (empty() && has_experts())
      consider({0, kMinExpertSlots}, "all but experts in memory, and a cache of these");
  }

  void consider_ring(std::int64_t slots) {
    if (!has_experts()) return consider(slots, fmt::format("a ring of {} slots", slots));
    for (const std::int64_t cached : kExpertSlots) {
      consider({slots, cached},
               fmt::format("a ring of {} slots and a cache of {} expert matrices", slots, cached));
    }
  }

  // The one to take first.
  std::vector<Candidate> take();

 private:
  Prediction predict(const Placement& placement) const {
    const Plan plan = make_plan(graph_, blocks_, placement, true, true);
    const bool resident = embedding_resident(graph_, blocks_, placement);
    return simulate(plan, costs_, decode_,
                    simulator_options(placement, experts_, overlap_, resident, true));
  }

  void consider(const SlotCounts& slots, const std::string& name) {
    auto placed = place_for(graph_, blocks_, needs_, slots,
                            [&](const Placement& placement) { return predict(placement).step_s; });
    if (std::holds_alternative<Infeasible>(placed)) return;
    auto& placement = std::get<Placement>(placed);
    const Prediction prediction = predict(placement);
    candidates_.push_back({std::move(placement), prediction, name});
  }

  const LayerGraph& graph_;
  const BlockTable& blocks_;
  const HostNeeds& needs_;
  const CostModel& costs_;
  const StepLoad& decode_;
  const bool overlap_;
  const std::vector<Run> experts_;
  std::vector<Candidate> candidates_;
};

// The disk's rate was measured with 12 reads in flight, and the simulator knows no jitter: of rings
// predicted within 3 % of the best, the one nearest to that depth goes first.
void prefer_measured_depth(std::vector<Candidate>& candidates) {
  constexpr std::int64_t kMeasuredDepth = 12;
  constexpr double kTolerance = 1.03;
  const auto distance = [](const Candidate& candidate) {
    return std::abs(candidate.placement.ring_slots - kMeasuredDepth);
  };
  const double limit_s = kTolerance * candidates.front().decode.step_s;
  auto best = candidates.begin();
  for (auto it = candidates.begin(); it != candidates.end() && it->decode.step_s <= limit_s; ++it) {
    if (distance(*it) < distance(*best)) best = it;
  }
  std::rotate(candidates.begin(), best, best + 1);
}

std::vector<Candidate> PlacementChoice::take() {
  std::stable_sort(
      candidates_.begin(), candidates_.end(),
      [](const Candidate& a, const Candidate& b) { return a.decode.step_s < b.decode.step_s; });
  prefer_measured_depth(candidates_);
  return std::move(candidates_);
}

}  // namespace

std::variant<std::vector<Candidate>, Infeasible> choose_placement(
    const LayerGraph& graph, const BlockTable& blocks, const HostNeeds& needs,
    const CostModel& costs, const StepLoad& decode, bool overlap, std::int64_t ring_slots) {
  PlacementChoice choice(graph, blocks, needs, costs, decode, overlap);
  if (ring_slots > 0) {
    choice.consider_ring(ring_slots);
    const SlotCounts least = {ring_slots, choice.has_experts() ? kMinExpertSlots : 0};
    if (choice.empty()) return std::get<Infeasible>(place(graph, blocks, needs, least));
    return choice.take();
  }
  choice.consider_resident();
  if (choice.empty()) {
    for (const std::int64_t slots : kRingSlots) choice.consider_ring(slots);
  }
  if (choice.empty()) return Infeasible{least_limit_bytes(graph, blocks, needs)};
  return choice.take();
}

}  // namespace windlass

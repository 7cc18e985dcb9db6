#include "pipeline/planner_tiers.h"

#include <algorithm>

#include "pipeline/expert_runs.h"

namespace windlass {
namespace {

struct Kind {
  const char* name;
  TierPlacer::Choice choice;
};

// A larger ring reaches further ahead while the CPU works, and holds no weights.
std::vector<Kind> kinds() {
  constexpr double kSmallRing = 1.0 / 64, kLargeRing = 1.0 / 16;
  using Kv = TierRules::Kv;
  return {{"every unit where it is best", {{true, true, Kv::kAny}, kSmallRing}},
          {"every unit where it is best, and a large ring of VRAM",
           {{true, true, Kv::kAny}, kLargeRing}},
          {"no unit split between GPU and CPU", {{false, true, Kv::kAny}, kSmallRing}},
          {"nothing streamed to VRAM in decode steps", {{true, false, Kv::kAny}, kSmallRing}},
          {"all of the KV cache in memory", {{true, true, Kv::kHost}, kSmallRing}},
          {"all of the KV cache in VRAM", {{true, true, Kv::kVram}, kSmallRing}}};
}

bool alike(const Placement& a, const Placement& b) {
  return a.vram.decode_sites == b.vram.decode_sites &&
         a.vram.prefill_sites == b.vram.prefill_sites && a.vram.kv_home == b.vram.kv_home &&
         a.vram.pinned_bytes == b.vram.pinned_bytes && a.vram.ring_slots == b.vram.ring_slots &&
         a.ring_slots == b.ring_slots;
}

}  // namespace

void predict(Candidate& candidate, const CostModelParts& parts, const BlockTable& blocks,
             const StepLoad& decode, const StepLoad& prefill, bool overlap) {
  const CostModel costs(parts);
  const std::vector<Run> experts = expert_runs(parts.graph, blocks);
  const Placement& placement = candidate.placement;
  const bool resident = embedding_resident(parts.graph, blocks, placement);
  const auto step = [&](const StepLoad& load, bool is_decode) {
    const Plan plan = make_plan(parts.graph, blocks, placement, true, is_decode);
    SimulatorOptions options = simulator_options(placement, experts, overlap, resident, is_decode);
    options.blocks = &blocks;
    return simulate(plan, costs, load, options);
  };
  candidate.decode = step(decode, true);
  candidate.prefill_s = step(prefill, false).step_s;
}

void sort_candidates(std::vector<Candidate>& candidates, double prefill_weight) {
  const auto cost = [&](const Candidate& candidate) {
    return candidate.decode.step_s + prefill_weight * candidate.prefill_s;
  };
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](const Candidate& a, const Candidate& b) { return cost(a) < cost(b); });
}

std::vector<Candidate> tier_candidates(const TierPlacer& placer, const CostModelParts& parts,
                                       const BlockTable& blocks, const TierNeeds& needs,
                                       bool overlap) {
  std::vector<Candidate> candidates;
  for (const Kind& kind : kinds()) {
    auto placement = placer.place(kind.choice);
    if (!placement) continue;
    const bool known =
        std::any_of(candidates.begin(), candidates.end(),
                    [&](const Candidate& other) { return alike(other.placement, *placement); });
    if (known) continue;
    Candidate& candidate = candidates.emplace_back();
    candidate.placement = std::move(*placement);
    candidate.name = kind.name;
    predict(candidate, parts, blocks, needs.decode, needs.prefill, overlap);
  }
  sort_candidates(candidates, needs.prefill_weight);
  return candidates;
}

}  // namespace windlass

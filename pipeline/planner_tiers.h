// The planner's choice where there is a GPU.
#pragma once

#include <vector>

#include "pipeline/placement_vram.h"
#include "pipeline/planner.h"

namespace windlass {

// Placements over three tiers, each the best of its kind: rings of VRAM of two sizes, units that
// are split or not, KV wherever it is best or all in one tier. Those that fit, simulated, the
// soonest first: decode_s + needs.prefill_weight * prefill_s. No two alike.
std::vector<Candidate> tier_candidates(const TierPlacer& placer, const CostModelParts& parts,
                                       const BlockTable& blocks, const TierNeeds& needs,
                                       bool overlap);

// Fills in the steps' times of a candidate's placement.
void predict(Candidate& candidate, const CostModelParts& parts, const BlockTable& blocks,
             const StepLoad& decode, const StepLoad& prefill, bool overlap);

// The soonest first.
void sort_candidates(std::vector<Candidate>& candidates, double prefill_weight);

}  // namespace windlass

// --check-tensors: looks at every weight of a model, streamed through memory that the session has
// anyway, for NaN and infinities.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "cpu_kernels/op_table.h"
#include "src/format/tensor_table.h"
#include "tiers/tier_manager.h"

namespace windlass {

struct WeightCheckParts {
  const TensorTable& tensors;
  const BlockTable& blocks;
  TierManager& tiers;
  const OpTable& ops;
  Team& team;
  std::span<std::byte> memory;  // kDirectAlignment aligned, room for any one block's run
};

// Reads every block once and makes floats of its weights, so that a scale of a quantised type
// counts as the weights that it scales. Error(kBadFile) naming the tensors with a weight that is
// not finite, the first such row of each, and what stands there; Error(kIo) as the tiers' reads.
// progress(bytes done) may throw. REQUIRES: no block of the model is in memory.
void check_weights(const WeightCheckParts& parts,
                   const std::function<void(std::int64_t)>& progress);

}  // namespace windlass

// How what splits of a context made of one query becomes one result (MergePartialsArgs): the same
// arithmetic, so the same bits, whether a kernel goes through the splits one after the other or
// they were computed side by side.
#pragma once

#include "kernels/device_words.h"

namespace windlass {

// By what is multiplied, when a split is taken in: the sum so far, and what the split adds.
struct SplitShares {
  float old, added;
};

// m and l of all splits of a query so far.
struct RunningSum {
  float max = 0.0f, sum = 0.0f;

  __device__ SplitShares take_in(float split_max, float split_sum) {
    if (split_sum == 0.0f) return {1.0f, 0.0f};  // it saw no key
    const bool first = sum == 0.0f;
    const float most = first ? split_max : fmaxf(max, split_max);
    const SplitShares shares = {first ? 0.0f : expf(max - most), expf(split_max - most)};
    sum = sum * shares.old + split_sum * shares.added;
    max = most;
    return shares;
  }
  // What o is multiplied by in the end; 0 for a query that saw no key, whose o was never written.
  __device__ float inverse() const { return sum == 0.0f ? 0.0f : 1.0f / sum; }
};

// *out so far takes in o of a split. What the first one finds is never read, and a split without
// keys adds nothing.
inline __device__ void take_in_value(const SplitShares& shares, float o, float* out) {
  if (shares.added == 0.0f) return;
  const float before = shares.old == 0.0f ? 0.0f : *out * shares.old;
  *out = fmaf(o, shares.added, before);
}

inline __device__ float finished_value(float inverse, float out) {
  return inverse == 0.0f ? 0.0f : out * inverse;
}

}  // namespace windlass

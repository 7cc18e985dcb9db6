// The angles of rotary position embedding, RoPE (arXiv 2104.09864), with its scaling variants:
// linear position interpolation (arXiv 2306.15595), YaRN (arXiv 2309.00071), and per-frequency
// factors: llama-3's and LongRoPE's (arXiv 2402.13753).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/model/model_spec.h"

namespace windlass {

class RopeTable {
 public:
  // frequency_factors: [dims/2] divisors, or empty. A spec without RoPE (0 dims) gives an empty
  // table.
  RopeTable(const RopeSpec& spec, std::span<const float> frequency_factors);
  // cos and sin of one position, [dims/2] each, magnitude scaling folded in.
  void fill(std::int64_t position, float* cos, float* sin) const;
  std::int64_t pairs() const { return static_cast<std::int64_t>(frequencies_.size()); }

 private:
  std::vector<float> frequencies_;  // radians a token
  float magnitude_ = 1.0F;
};

}  // namespace windlass

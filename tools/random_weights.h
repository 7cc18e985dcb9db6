// Random weights in a file's layout, fast: the disk should be the limit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "src/base/dtype.h"

namespace windlass {

// xoshiro256++ (Blackman, Vigna 2019), seeded through splitmix64. The stream depends on the seed
// alone.
class RandomWeights {
 public:
  explicit RandomWeights(std::uint64_t seed);
  // Fills whole blocks of `type` with weights of zero mean and about this standard deviation,
  // uniformly spread. REQUIRES: type is one of F32, F16, BF16, Q4_0, Q4_1, Q8_0; bytes.size() is a
  // multiple of its block.
  void fill(DType type, double deviation, std::span<std::byte> bytes);

 private:
  std::uint64_t next();
  void fill_random(std::span<std::byte> bytes);

  std::array<std::uint64_t, 4> state_;
};

}  // namespace windlass

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
  // Fills whole blocks of `type` with weights of about zero mean and this standard deviation; codes
  // are uniformly spread (within a factor of 1.5 for MXFP4, whose scales are powers of two, and of
  // 1.2 for NVFP4). REQUIRES: a row of kWeightTypes; bytes.size() is a multiple of its block.
  void fill(DType type, double deviation, std::span<std::byte> bytes);

 private:
  std::uint64_t next();
  void fill_random(std::span<std::byte> bytes);

  std::array<std::uint64_t, 4> state_;
};

}  // namespace windlass

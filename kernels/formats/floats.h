// F32, F16 and BF16 weights.
#pragma once

#include "kernels/formats/decoder.h"

namespace windlass {

template <>
struct Decoder<DType::kF32> {
  static constexpr std::int64_t kBytes = 4;
  static __device__ float decode(const std::uint8_t* from) { return f32_of_bits(load_u32(from)); }
};

template <>
struct Decoder<DType::kF16> {
  static constexpr std::int64_t kBytes = 2;
  static __device__ float decode(const std::uint8_t* from) { return load_half(from); }
};

template <>
struct Decoder<DType::kBF16> {
  static constexpr std::int64_t kBytes = 2;
  static __device__ float decode(const std::uint8_t* from) {
    return f32_of_bits(load_u16(from) << 16);
  }
};

}  // namespace windlass

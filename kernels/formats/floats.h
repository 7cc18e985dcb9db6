// F32, F16 and BF16 weights.
#pragma once

#include "kernels/formats/decoder.h"

namespace windlass {

template <>
struct Decoder<DType::kF32> {
  static constexpr int kBytes = 4;
  template <class From>
  static __device__ float decode(From from) {
    return f32_of_bits(load_u32(from));
  }
};

template <>
struct Decoder<DType::kF16> {
  static constexpr int kBytes = 2;
  template <class From>
  static __device__ float decode(From from) {
    return load_half(from);
  }
};

template <>
struct Decoder<DType::kBF16> {
  static constexpr int kBytes = 2;
  template <class From>
  static __device__ float decode(From from) {
    return f32_of_bits(load_u16(from) << 16);
  }
};

}  // namespace windlass

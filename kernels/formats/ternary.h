// TQ1_0 and TQ2_0: weights of -1, 0, 1 times the f16 d of 256.
#pragma once

#include "kernels/formats/decoder.h"

namespace windlass {

// Digit `digit`, less 1, of four base-3 fractions of 8 bits: byte / 256 = 0.t0 t1 t2 t3 t4.
inline __device__ std::uint32_t ternary_digits(std::uint32_t four, int digit) {
  const std::uint32_t power = digit == 0   ? 1
                              : digit == 1 ? 3
                              : digit == 2 ? 9
                              : digit == 3 ? 27
                                           : 81;
  std::uint32_t digits = 0;
  for (int j = 0; j < 4; ++j) {
    const std::uint32_t rest = (four >> (8 * j) & 255u) * power & 255u;
    digits |= rest * 3 >> 8 << (8 * j);
  }
  return less_1(digits);
}

// 32 and 16 bytes of five weights, 4 bytes of four, f16 d. Of each of the three stretches come
// first digit 0 of all bytes, then digit 1, ..
template <>
struct Decoder<DType::kTQ1_0> {
  static constexpr int kWeights = 256, kBytes = 54, kGroups = 1;
  static constexpr bool kHasOffset = false;
  template <class From>
  static __device__ CodePair codes(From block, int part, int j) {
    if (part < 5) {
      return {ternary_digits(load_u32(block, j), part),
              ternary_digits(load_u32(block, 4 + j), part)};
    }
    const std::uint32_t four = load_u32(block, 8 + j);
    const int digit = 2 * (part - 5);
    return {ternary_digits(four, digit),
            part < 7 ? ternary_digits(four, digit + 1) : ternary_digits(load_u32(block + 48), j)};
  }
  template <class From>
  static __device__ Group group(From block, int, int) {
    return {load_half(block + 52), 0};
  }
};

// 64 bytes of four 2-bit weights (32 bytes make 128 weights), f16 d.
template <>
struct Decoder<DType::kTQ2_0> {
  static constexpr int kWeights = 256, kBytes = 66, kGroups = 1;
  static constexpr bool kHasOffset = false;
  template <class From>
  static __device__ CodePair codes(From block, int part, int j) {
    const From from = block + 32 * (part / 4);
    const int shift = part % 4 * 2;
    return {less_1(load_u32(from, j) >> shift & 0x03030303u),
            less_1(load_u32(from, 4 + j) >> shift & 0x03030303u)};
  }
  template <class From>
  static __device__ Group group(From block, int, int) {
    return {load_half(block + 64), 0};
  }
};

}  // namespace windlass

// TQ1_0 and TQ2_0: weights of -1, 0, 1 times the f16 d of 256. For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/format.h"

namespace windlass {
namespace {

// Digit `digit` of a byte that holds a base-3 fraction: byte / 256 = 0.t0 t1 t2 t3 t4 in base 3.
inline int ternary_digit(std::uint8_t byte, int digit) {
  constexpr unsigned kPowers[5] = {1, 3, 9, 27, 81};
  return static_cast<int>((byte * kPowers[digit] & 255u) * 3 >> 8);
}

// `width` bytes of which digit k of each makes `width` weights in a row.
inline float* put_ternary(const std::uint8_t* bytes, int width, int digits, float d, float* out) {
  for (int k = 0; k < digits; ++k) {
    for (int i = 0; i < width; ++i) {
      *out++ = d * static_cast<float>(ternary_digit(bytes[i], k) - 1);
    }
  }
  return out;
}

// 32 and 16 bytes of five weights, 4 bytes of four, f16 d.
template <>
struct Format<DType::kTQ1_0> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 54;
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from + 52);
      out = put_ternary(from, 32, 5, d, out);
      out = put_ternary(from + 32, 16, 5, d, out);
      out = put_ternary(from + 48, 4, 4, d, out);
    }
  }
};

// 64 bytes of four 2-bit weights (32 bytes make 128 weights), f16 d.
template <>
struct Format<DType::kTQ2_0> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 66;
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from + 64);
      for (int b = 0; b < 8; ++b, out += 32) {
        for (int i = 0; i < 32; ++i) {
          out[i] = d * static_cast<float>((from[32 * (b / 4) + i] >> (2 * (b % 4)) & 3) - 1);
        }
      }
    }
  }
};

}  // namespace
}  // namespace windlass

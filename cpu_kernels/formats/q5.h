// Q5_0 and Q5_1: f16 d, [f16 m,] 32 bits with the fifth bit of each weight, 16 bytes of nibbles as
// in Q4_0. w = d * (q - 16) for Q5_0, d * q + m for Q5_1. For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/format.h"
#include "cpu_kernels/formats/q4.h"

namespace windlass {
namespace {

// Adds bit i of `fifth` to code i as its bit 4.
template <class V>
inline void add_fifth_bits(typename V::I fifth, typename V::B* steps) {
  // t = b3 b2 b1 b0; t * (1 + 2^7 + 2^14 + 2^21) has bit k of t at bit 8k.
  const typename V::I spread = V::set1_i(0x00204081);
  for (int j = 0; j < 8; ++j) {
    const typename V::I four = V::and_i(V::shift_right(fifth, 4 * j), V::set1_i(15));
    steps[j] = V::or_i(
        steps[j],
        bits_left<V>(V::and_i(V::mul_i(four, spread), V::set1_i(0x01010101)), 4, 0x10101010u));
  }
}

inline std::uint32_t fifth_bits_at(const std::uint8_t* from) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return bits;
}

// Code i of the 32 at `nibbles`, as an integer.
inline int five_bit_code(const std::uint8_t* nibbles, std::uint32_t fifth, int i) {
  const int low = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
  return low | static_cast<int>((fifth >> i & 1u) << 4);
}

template <>
struct Format<DType::kQ5_0> : HeadScales<false> {
  static constexpr std::int64_t kBlockBytes = 22;
  static constexpr Codes kCodes = Codes::kUnsigned7;
  static constexpr int kZeroPoint = 16;
  template <class V>
  [[gnu::always_inline]] static void load_codes(const std::uint8_t* const* rows, std::int64_t at,
                                                int, typename V::B* steps) {
    typename V::B head[4];  // d, the fifth bits, the first nibbles
    V::load_rows16(rows, at, head);
    load_nibbles<V>(rows, at + 6, steps);
    add_fifth_bits<V>(V::or_i(V::shift_right(head[0], 16), V::shift_left(head[1], 16)), steps);
  }
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 32, out += 32, from += kBlockBytes) {
      const float d = half_at<V>(from);
      const std::uint32_t fifth = fifth_bits_at(from + 2);
      for (int i = 0; i < 32; ++i) {
        out[i] = d * static_cast<float>(five_bit_code(from + 6, fifth, i) - 16);
      }
    }
  }
};

template <>
struct Format<DType::kQ5_1> : HeadScales<true> {
  static constexpr std::int64_t kBlockBytes = 24;
  static constexpr Codes kCodes = Codes::kUnsigned7;
  static constexpr int kZeroPoint = 0;
  template <class V>
  [[gnu::always_inline]] static void load_codes(const std::uint8_t* const* rows, std::int64_t at,
                                                int, typename V::B* steps) {
    typename V::B head[4];  // d and m, the fifth bits, the first nibbles
    V::load_rows16(rows, at, head);
    load_nibbles<V>(rows, at + 8, steps);
    add_fifth_bits<V>(head[1], steps);
  }
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 32, out += 32, from += kBlockBytes) {
      const float d = half_at<V>(from), m = half_at<V>(from + 2);
      const std::uint32_t fifth = fifth_bits_at(from + 4);
      for (int i = 0; i < 32; ++i) {
        out[i] = d * static_cast<float>(five_bit_code(from + 8, fifth, i)) + m;
      }
    }
  }
};

}  // namespace
}  // namespace windlass

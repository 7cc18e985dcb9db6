// Q4_0 and Q4_1: f16 d, [f16 m,] then 16 bytes; weight i is in the low nibble of byte i, weight
// 16 + i in its high nibble. w = d * (q - 8) for Q4_0, d * q + m for Q4_1. For inclusion by
// isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/format.h"

namespace windlass {
namespace {

// Sixteen bytes of nibbles: low ones first.
template <class V>
[[gnu::always_inline]] inline void load_nibbles(const std::uint8_t* const* rows, std::int64_t at,
                                                typename V::B* steps) {
  typename V::B bytes[4];
  V::load_rows16(rows, at, bytes);
  for (int j = 0; j < 4; ++j) {
    steps[j] = V::low_nibbles(bytes[j]);
    steps[4 + j] = V::high_nibbles(bytes[j]);
  }
}

// The same times 16.
template <class V>
[[gnu::always_inline]] inline void load_high_nibbles(const std::uint8_t* const* rows,
                                                     std::int64_t at, typename V::B* steps) {
  typename V::B bytes[4];
  V::load_rows16(rows, at, bytes);
  const typename V::B mask = V::set1_i(static_cast<std::int32_t>(0xf0f0f0f0u));
  for (int j = 0; j < 4; ++j) {
    steps[j] = V::and_i(V::shift_left(bytes[j], 4), mask);
    steps[4 + j] = V::and_i(bytes[j], mask);
  }
}

template <>
struct Format<DType::kQ4_0> : HeadScales<false> {
  static constexpr std::int64_t kBlockBytes = 18;
  static constexpr bool kHeadApart = true;
  static constexpr Codes kCodes = Codes::kUnsigned4;
  static constexpr int kZeroPoint = 8;
  template <class V>
  [[gnu::always_inline]] static void load_codes(const std::uint8_t* const* rows, std::int64_t at,
                                                int, typename V::B* steps) {
    load_nibbles<V>(rows, at + 2, steps);
  }
  template <class V>
  [[gnu::always_inline]] static void load_codes_times_16(const std::uint8_t* const* rows,
                                                         std::int64_t at, int,
                                                         typename V::B* steps) {
    load_high_nibbles<V>(rows, at + 2, steps);
  }
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += 32, from += kBlockBytes) {
      const typename V::F d = V::broadcast_f16(from);
      for (int j = 0; j < 16; j += V::kLanes) {
        const typename V::I bytes = V::load_u8(from + 2 + j);
        V::store(out + i + j, V::mul(V::to_f32(V::sub_8(V::low_nibble(bytes))), d));
        V::store(out + i + 16 + j, V::mul(V::to_f32(V::sub_8(V::high_nibble(bytes))), d));
      }
    }
  }
};

template <>
struct Format<DType::kQ4_1> : HeadScales<true> {
  static constexpr std::int64_t kBlockBytes = 20;
  static constexpr bool kHeadApart = true;
  static constexpr Codes kCodes = Codes::kUnsigned4;
  static constexpr int kZeroPoint = 0;
  template <class V>
  [[gnu::always_inline]] static void load_codes(const std::uint8_t* const* rows, std::int64_t at,
                                                int, typename V::B* steps) {
    load_nibbles<V>(rows, at + 4, steps);
  }
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += 32, from += kBlockBytes) {
      const typename V::F d = V::broadcast_f16(from), m = V::broadcast_f16(from + 2);
      for (int j = 0; j < 16; j += V::kLanes) {
        const typename V::I bytes = V::load_u8(from + 4 + j);
        V::store(out + i + j, V::add(V::mul(V::to_f32(V::low_nibble(bytes)), d), m));
        V::store(out + i + 16 + j, V::add(V::mul(V::to_f32(V::high_nibble(bytes)), d), m));
      }
    }
  }
};

}  // namespace
}  // namespace windlass

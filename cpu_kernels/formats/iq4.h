// IQ4_NL, IQ4_XS and MXFP4: nibbles that choose among 16 values; 16 bytes hold 32 weights as in
// Q4_0. For inclusion by isa_*.cpp alone.
//
// IQ4_NL: f16 d, nibbles; w = d * value.
// IQ4_XS: f16 d, 16 bits with the high 2 bits of 8 scales, 4 bytes with their low nibbles, then 8
//   times 32 weights; w = d * (scale - 32) * value.
// MXFP4 (OCP Microscaling 1.0): an exponent e, nibbles; w = 2^(e - 128) * value, the values being
//   those of E2M1, doubled.
#pragma once

#include "cpu_kernels/formats/format.h"
#include "cpu_kernels/formats/q4.h"
#include "src/ops/codebooks.h"

namespace windlass {
namespace {

template <class V>
inline void load_looked_up(const std::uint8_t* const* rows, std::int64_t at,
                           const std::int8_t* values, typename V::B* steps) {
  load_nibbles<V>(rows, at, steps);
  for (int j = 0; j < 8; ++j) steps[j] = V::lookup16(values, steps[j]);
}

inline void dequantize_looked_up(const std::uint8_t* nibbles, const std::int8_t* values, float d,
                                 float* out) {
  for (int i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(values[nibbles[i] & 15]);
    out[16 + i] = d * static_cast<float>(values[nibbles[i] >> 4]);
  }
}

template <>
struct Format<DType::kIQ4_NL> : HeadScales<false> {
  static constexpr std::int64_t kBlockBytes = 18;
  static constexpr bool kHeadApart = true;
  static constexpr Codes kCodes = Codes::kSigned8;
  static constexpr int kZeroPoint = 0;
  template <class V>
  [[gnu::always_inline]] static void load_codes(const std::uint8_t* const* rows, std::int64_t at,
                                                int, typename V::B* steps) {
    load_looked_up<V>(rows, at + 2, kIq4Values, steps);
  }
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 32, out += 32, from += kBlockBytes) {
      dequantize_looked_up(from + 2, kIq4Values, half_at<V>(from), out);
    }
  }
};

template <>
struct Format<DType::kIQ4_XS> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 136;
  static constexpr Codes kCodes = Codes::kSigned8;
  static constexpr int kScaleWeights = 32, kPartBlocks = 1;
  static constexpr int kZeroPoint = 0;
  static constexpr bool kHasOffset = false;
  template <class V>
  [[gnu::always_inline]] static void load_scales(const std::uint8_t* const* rows, std::int64_t at,
                                                 typename V::F* d, typename V::F*) {
    using I = typename V::I;
    I head[4];
    V::load_rows16(rows, at, head);
    const typename V::F whole = V::f16_low(head[0]);
    const I high = V::shift_right(head[0], 16);
    for (int g = 0; g < 8; ++g) {
      const I low = V::and_i(V::shift_right(head[1], 4 * g), V::set1_i(15));
      const I top = V::and_i(V::shift_right(high, 2 * g), V::set1_i(3));
      const I scale = V::or_i(low, V::shift_left(top, 4));
      d[g] = V::mul(whole, V::sub(V::to_f32(scale), V::set1(32.0f)));
    }
  }
  template <class V>
  [[gnu::always_inline]] static void load_codes(const std::uint8_t* const* rows, std::int64_t at,
                                                int part, typename V::B* steps) {
    load_looked_up<V>(rows, at + 8 + 16 * part, kIq4Values, steps);
  }
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from);
      const int high = from[2] | from[3] << 8;
      for (int g = 0; g < 8; ++g, out += 32) {
        const int scale = (from[4 + g / 2] >> (4 * (g % 2)) & 15) | (high >> (2 * g) & 3) << 4;
        dequantize_looked_up(from + 8 + 16 * g, kIq4Values, d * static_cast<float>(scale - 32),
                             out);
      }
    }
  }
};

template <>
struct Format<DType::kMXFP4> {
  static constexpr std::int64_t kBlockWeights = 32, kBlockBytes = 17;
  static constexpr Codes kCodes = Codes::kSigned8;
  static constexpr int kScaleWeights = 32, kPartBlocks = 1;
  static constexpr int kZeroPoint = 0;
  static constexpr bool kHasOffset = false;
  // 2^(e - 128) as float bits: exponent e - 1; for e of 1 and 0 the subnormals 2^-127, 2^-128.
  template <class V>
  [[gnu::always_inline]] static void load_scales(const std::uint8_t* const* rows, std::int64_t at,
                                                 typename V::F* d, typename V::F*) {
    typename V::I head[4];
    V::load_rows16(rows, at, head);
    const typename V::I e = byte_of<V>(head[0], 0);
    const typename V::I normal = V::shift_left(V::add_i(e, V::set1_i(-1)), 23);
    const typename V::I above_0 = V::shift_right(V::add_i(e, V::set1_i(255)), 8);
    const typename V::I subnormal = V::shift_left(V::add_i(above_0, V::set1_i(1)), 21);
    *d = V::from_bits(V::max_i(normal, subnormal));  // normal is 0 or negative for e < 2
  }
  template <class V>
  [[gnu::always_inline]] static void load_codes(const std::uint8_t* const* rows, std::int64_t at,
                                                int, typename V::B* steps) {
    load_looked_up<V>(rows, at + 1, kFp4Values, steps);
  }
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 32, out += 32, from += kBlockBytes) {
      const std::uint32_t e = *from;
      const std::uint32_t bits = e < 2 ? 0x00200000u << e : (e - 1) << 23;
      float d;
      __builtin_memcpy(&d, &bits, sizeof d);
      dequantize_looked_up(from + 1, kFp4Values, d, out);
    }
  }
};

}  // namespace
}  // namespace windlass

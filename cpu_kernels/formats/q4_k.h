// Q4_K and Q5_K: 256 weights as 8 groups of 32 with a 6-bit scale and a 6-bit minimum each.
// f16 d, f16 dmin, 12 bytes of scales and minima, [32 bytes of fifth bits: bit g of byte i belongs
// to weight i of group g,] 128 bytes of nibbles: 32 bytes hold group 2k in their low and group
// 2k + 1 in their high nibbles. w = (d * scale) * q - dmin * minimum. For inclusion by isa_*.cpp
// alone.
#pragma once

#include "cpu_kernels/formats/format.h"

namespace windlass {
namespace {

// Scales and minima of groups 0 to 3 are the low 6 bits of bytes 0 to 3 and 4 to 7. Those of groups
// 4 to 7 have their low 4 bits in the nibbles of bytes 8 to 11, their high 2 bits on top of the
// former.
template <class V>
[[gnu::always_inline]] inline void load_six_bit_scales(const std::uint8_t* const* rows,
                                                       std::int64_t at, typename V::F* scale,
                                                       typename V::F* offset) {
  using I = typename V::I;
  I head[4];
  V::load_rows16(rows, at, head);
  const typename V::F d = V::f16_low(head[0]);
  const typename V::F minus = V::sub(V::zero(), V::f16_low(V::shift_right(head[0], 16)));
  const I scales[2] = {bits_right<V>(head[1], 0, 0x3f3f3f3fu),
                       V::or_i(V::low_nibbles(head[3]), bits_right<V>(head[1], 2, 0x30303030u))};
  const I minima[2] = {bits_right<V>(head[2], 0, 0x3f3f3f3fu),
                       V::or_i(V::high_nibbles(head[3]), bits_right<V>(head[2], 2, 0x30303030u))};
  for (int g = 0; g < 8; ++g) {
    scale[g] = V::mul(d, V::to_f32(byte_of<V>(scales[g / 4], g % 4)));
    offset[g] = V::mul(minus, V::to_f32(byte_of<V>(minima[g / 4], g % 4)));
  }
}

// The same of one row.
struct SixBitScale {
  int scale, minimum;
};
inline SixBitScale six_bit_scale(const std::uint8_t* bytes, int g) {
  if (g < 4) return {bytes[g] & 63, bytes[g + 4] & 63};
  return {(bytes[g + 4] & 15) | (bytes[g - 4] >> 6 << 4), bytes[g + 4] >> 4 | bytes[g] >> 6 << 4};
}

template <>
struct Format<DType::kQ4_K> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 144;
  static constexpr Codes kCodes = Codes::kUnsigned4;
  static constexpr int kScaleWeights = 32, kPartBlocks = 2;
  static constexpr int kZeroPoint = 0;
  static constexpr bool kHasOffset = true;
  template <class V>
  [[gnu::always_inline]] static void load_scales(const std::uint8_t* const* rows, std::int64_t at,
                                                 typename V::F* d, typename V::F* offset) {
    load_six_bit_scales<V>(rows, at, d, offset);
  }
  template <class V>
  [[gnu::always_inline]] static void load_codes(const std::uint8_t* const* rows, std::int64_t at,
                                                int part, typename V::B* steps) {
    V::load_rows32(rows, at + 16 + 32 * part, steps);
    for (int j = 0; j < 8; ++j) {
      steps[8 + j] = V::high_nibbles(steps[j]);
      steps[j] = V::low_nibbles(steps[j]);
    }
  }
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from), dmin = half_at<V>(from + 2);
      for (int g = 0; g < 8; ++g, out += 32) {
        const SixBitScale s = six_bit_scale(from + 4, g);
        const float scale = d * static_cast<float>(s.scale);
        const float minimum = dmin * static_cast<float>(s.minimum);
        const std::uint8_t* bytes = from + 16 + 32 * (g / 2);
        const int shift = 4 * (g % 2);
        for (int i = 0; i < 32; ++i) {
          out[i] = scale * static_cast<float>(bytes[i] >> shift & 15) - minimum;
        }
      }
    }
  }
};

template <>
struct Format<DType::kQ5_K> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 176;
  static constexpr Codes kCodes = Codes::kUnsigned7;
  static constexpr int kScaleWeights = 32, kPartBlocks = 2;
  static constexpr int kZeroPoint = 0;
  static constexpr bool kHasOffset = true;
  template <class V>
  [[gnu::always_inline]] static void load_scales(const std::uint8_t* const* rows, std::int64_t at,
                                                 typename V::F* d, typename V::F* offset) {
    load_six_bit_scales<V>(rows, at, d, offset);
  }
  template <class V>
  [[gnu::always_inline]] static void load_codes(const std::uint8_t* const* rows, std::int64_t at,
                                                int part, typename V::B* steps) {
    typename V::B fifth[8];
    V::load_rows32(rows, at + 16, fifth);
    V::load_rows32(rows, at + 48 + 32 * part, steps);
    for (int j = 0; j < 8; ++j) {
      const typename V::I two = V::shift_right(fifth[j], 2 * part);
      steps[8 + j] = V::or_i(V::high_nibbles(steps[j]), bits_left<V>(two, 3, 0x10101010u));
      steps[j] = V::or_i(V::low_nibbles(steps[j]), bits_left<V>(two, 4, 0x10101010u));
    }
  }
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from), dmin = half_at<V>(from + 2);
      for (int g = 0; g < 8; ++g, out += 32) {
        const SixBitScale s = six_bit_scale(from + 4, g);
        const float scale = d * static_cast<float>(s.scale);
        const float minimum = dmin * static_cast<float>(s.minimum);
        const std::uint8_t* bytes = from + 48 + 32 * (g / 2);
        const int shift = 4 * (g % 2);
        for (int i = 0; i < 32; ++i) {
          const int q = (bytes[i] >> shift & 15) | (from[16 + i] >> g & 1) << 4;
          out[i] = scale * static_cast<float>(q) - minimum;
        }
      }
    }
  }
};

}  // namespace
}  // namespace windlass

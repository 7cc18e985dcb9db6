// Q2_K and Q3_K: 256 weights as 16 groups of 16. The 2 low bits of weight i of the 32 of block
// 4n + j are bits 2j, 2j + 1 of byte 32n + i of 64 bytes. For inclusion by isa_*.cpp alone.
//
// Q2_K: 16 bytes of scales (a low nibble for the scale, a high one for the minimum), 64 bytes of
//   codes, f16 d, f16 dmin; w = (d * scale) * q - dmin * minimum.
// Q3_K: 32 bytes with the third bits (bit 4n + j of byte i), 64 bytes of codes, 12 bytes of 6-bit
//   scales, f16 d; w = d * (scale - 32) * (q - 4).
#pragma once

#include "cpu_kernels/formats/format.h"

namespace windlass {
namespace {

// Blocks 4 * part .. 4 * part + 3 of the 64 bytes of codes at `at`.
template <class V>
inline void load_two_bit_codes(const std::uint8_t* const* rows, std::int64_t at, int part,
                               typename V::B* steps) {
  typename V::B bytes[8];  // load_rows32 is slower here, and for q3_K by 4 %
  V::load_rows16(rows, at + 32 * part, bytes);
  V::load_rows16(rows, at + 32 * part + 16, bytes + 4);
  for (int b = 0; b < 4; ++b) {
    for (int j = 0; j < 8; ++j) {
      steps[8 * b + j] = bits_right<V>(bytes[j], 2 * b, 0x03030303u);
    }
  }
}

template <>
struct Format<DType::kQ2_K> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 84;
  static constexpr Codes kCodes = Codes::kUnsigned4;
  static constexpr int kScaleWeights = 16, kPartBlocks = 4;
  static constexpr int kZeroPoint = 0;
  static constexpr bool kHasOffset = true;
  template <class V>
  [[gnu::always_inline]] static void load_scales(const std::uint8_t* const* rows, std::int64_t at,
                                                 typename V::F* d, typename V::F* offset) {
    typename V::B scales[4];
    V::load_rows16(rows, at, scales);
    const typename V::F whole = V::load_scales(rows, at + 80);
    const typename V::F minus = V::sub(V::zero(), V::load_scales(rows, at + 82));
    for (int g = 0; g < 16; ++g) {
      const typename V::I byte = byte_of<V>(scales[g / 4], g % 4);
      d[g] = V::mul(whole, V::to_f32(V::low_nibble(byte)));
      offset[g] = V::mul(minus, V::to_f32(V::high_nibble(byte)));
    }
  }
  template <class V>
  [[gnu::always_inline]] static void load_codes(const std::uint8_t* const* rows, std::int64_t at,
                                                int part, typename V::B* steps) {
    load_two_bit_codes<V>(rows, at + 16, part, steps);
  }
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from + 80), dmin = half_at<V>(from + 82);
      for (int g = 0; g < 16; ++g, out += 16) {
        const float scale = d * static_cast<float>(from[g] & 15);
        const float minimum = dmin * static_cast<float>(from[g] >> 4);
        const std::uint8_t* bytes = from + 16 + 32 * (g / 8) + 16 * (g % 2);
        const int shift = g / 2 % 4 * 2;
        for (int i = 0; i < 16; ++i) {
          out[i] = scale * static_cast<float>(bytes[i] >> shift & 3) - minimum;
        }
      }
    }
  }
};

template <>
struct Format<DType::kQ3_K> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 110;
  static constexpr Codes kCodes = Codes::kUnsigned4;
  static constexpr int kScaleWeights = 16, kPartBlocks = 4;
  static constexpr int kZeroPoint = 4;
  static constexpr bool kHasOffset = false;
  // Scale g: low 4 bits in a nibble of byte g % 8, high 2 bits in byte 8 + g % 4.
  template <class V>
  [[gnu::always_inline]] static void load_scales(const std::uint8_t* const* rows, std::int64_t at,
                                                 typename V::F* d, typename V::F*) {
    using I = typename V::I;
    I tail[4];  // from 2 bytes before the scales, so that it ends with the block
    V::load_rows16(rows, at + 94, tail);
    I bytes[3];  // the scale bytes by fours
    for (int k = 0; k < 3; ++k) {
      bytes[k] = V::or_i(V::shift_right(tail[k], 16), V::shift_left(tail[k + 1], 16));
    }
    const typename V::F whole = V::f16_low(V::shift_right(tail[3], 16));
    const I scales[4] = {
        V::or_i(V::low_nibbles(bytes[0]), bits_left<V>(bytes[2], 4, 0x30303030u)),
        V::or_i(V::low_nibbles(bytes[1]), bits_left<V>(bytes[2], 2, 0x30303030u)),
        V::or_i(V::high_nibbles(bytes[0]), bits_right<V>(bytes[2], 0, 0x30303030u)),
        V::or_i(V::high_nibbles(bytes[1]), bits_right<V>(bytes[2], 2, 0x30303030u))};
    for (int g = 0; g < 16; ++g) {
      const typename V::F scale =
          V::sub(V::to_f32(byte_of<V>(scales[g / 4], g % 4)), V::set1(32.0f));
      d[g] = V::mul(whole, scale);
    }
  }
  template <class V>
  [[gnu::always_inline]] static void load_codes(const std::uint8_t* const* rows, std::int64_t at,
                                                int part, typename V::B* steps) {
    typename V::B third[8];
    V::load_rows16(rows, at, third);
    V::load_rows16(rows, at + 16, third + 4);
    load_two_bit_codes<V>(rows, at + 32, part, steps);
    for (int b = 0; b < 4; ++b) {
      for (int j = 0; j < 8; ++j) {
        const typename V::I bit = bits_right<V>(third[j], 4 * part + b, 0x01010101u);
        steps[8 * b + j] = V::or_i(steps[8 * b + j], V::shift_left(bit, 2));
      }
    }
  }
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from + 108);
      const std::uint8_t* scales = from + 96;
      for (int g = 0; g < 16; ++g, out += 16) {
        const int low = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4;
        const int high = scales[8 + g % 4] >> (2 * (g / 4)) & 3;
        const float scale = d * static_cast<float>((low | high << 4) - 32);
        const std::uint8_t* bytes = from + 32 + 32 * (g / 8) + 16 * (g % 2);
        const std::uint8_t* third = from + 16 * (g % 2);
        const int shift = g / 2 % 4 * 2;
        for (int i = 0; i < 16; ++i) {
          const int q = (bytes[i] >> shift & 3) | (third[i] >> (g / 2) & 1) << 2;
          out[i] = scale * static_cast<float>(q - 4);
        }
      }
    }
  }
};

}  // namespace
}  // namespace windlass

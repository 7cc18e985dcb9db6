// Q6_K: 256 weights as 16 groups of 16; 128 bytes with the low 4 bits, 64 bytes with the high 2
// bits, 16 signed scales, f16 d; w = (d * scale) * (q - 32). In half n of the block, byte 64n + i
// (i < 64) holds the low bits of weights i and 64 + i, and bits 2k, 2k + 1 of byte 128 + 32n + i
// (i < 32) are the high ones of weight 32k + i. For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/format.h"

namespace windlass {
namespace {

template <>
struct Format<DType::kQ6_K> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 210;
  static constexpr Codes kCodes = Codes::kUnsigned7;
  static constexpr int kScaleWeights = 16, kPartBlocks = 4;
  static constexpr int kZeroPoint = 32;
  static constexpr bool kHasOffset = false;
  template <class V>
  [[gnu::always_inline]] static void load_scales(const std::uint8_t* const* rows, std::int64_t at,
                                                 typename V::F* d, typename V::F*) {
    typename V::B scales[4];
    V::load_rows16(rows, at + 192, scales);
    const typename V::F whole = V::load_scales(rows, at + 208);
    for (int g = 0; g < 16; ++g) {
      const typename V::I scale =
          V::shift_right_signed(V::shift_left(scales[g / 4], 24 - 8 * (g % 4)), 24);
      d[g] = V::mul(whole, V::to_f32(scale));
    }
  }
  template <class V>
  [[gnu::always_inline]] static void load_codes(const std::uint8_t* const* rows, std::int64_t at,
                                                int part, typename V::B* steps) {
    typename V::B low[16], high[8];
    V::load_rows32(rows, at + 64 * part, low);
    V::load_rows32(rows, at + 64 * part + 32, low + 8);
    V::load_rows32(rows, at + 128 + 32 * part, high);
    constexpr std::uint32_t kHigh = 0x30303030u;
    for (int j = 0; j < 8; ++j) {
      steps[j] = V::or_i(V::low_nibbles(low[j]), bits_left<V>(high[j], 4, kHigh));
      steps[8 + j] = V::or_i(V::low_nibbles(low[8 + j]), bits_left<V>(high[j], 2, kHigh));
      steps[16 + j] = V::or_i(V::high_nibbles(low[j]), bits_right<V>(high[j], 0, kHigh));
      steps[24 + j] = V::or_i(V::high_nibbles(low[8 + j]), bits_right<V>(high[j], 2, kHigh));
    }
  }
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from + 208);
      for (int g = 0; g < 16; ++g, out += 16) {
        const float scale = d * static_cast<float>(static_cast<std::int8_t>(from[192 + g]));
        const int half = g / 8, block = g / 2 % 4, side = 16 * (g % 2);
        const std::uint8_t* low = from + 64 * half + 32 * (block % 2) + side;
        const std::uint8_t* high = from + 128 + 32 * half + side;
        for (int i = 0; i < 16; ++i) {
          const int q = (low[i] >> (4 * (block / 2)) & 15) | (high[i] >> (2 * block) & 3) << 4;
          out[i] = scale * static_cast<float>(q - 32);
        }
      }
    }
  }
};

}  // namespace
}  // namespace windlass

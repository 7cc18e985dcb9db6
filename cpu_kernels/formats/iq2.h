// IQ2_XXS, IQ2_XS, IQ2_S: vectors of 8 magnitudes from a codebook, a sign for each weight, a 4-bit
// scale for 32 (XXS) or 16 weights; w = d * (0.5 + scale) / 4 * magnitude. For inclusion by
// isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/codebooks.h"
#include "cpu_kernels/formats/format.h"

namespace windlass {
namespace {

// Signs that are stored as 7 bits: the eighth makes their number even.
inline unsigned even_signs(unsigned seven) {
  return seven | static_cast<unsigned>(__builtin_popcount(seven) & 1) << 7;
}

// -1 where bit j of the signs is set, else 1. Plain integer arithmetic, here and below, for the
// compiler to make vectors of.
inline int sign_of(unsigned signs, int j) { return 1 - 2 * static_cast<int>(signs >> j & 1u); }

inline void put_iq2_vector(unsigned codes, unsigned signs, float scale, float* out) {
  for (int j = 0; j < 8; ++j) {
    const int code = static_cast<int>(codes >> (2 * j) & 3u);
    const int magnitude = 8 + 17 * code + (code >> 1);  // 8, 25, 43
    out[j] = scale * static_cast<float>(magnitude * sign_of(signs, j));
  }
}

inline float iq2_scale(float d, int scale) {
  return d * (0.5f + static_cast<float>(scale)) * 0.25f;
}

// f16 d, then for 32 weights 4 bytes of codebook indices and 32 bits: 4 times 7 signs, the scale.
template <>
struct Format<DType::kIQ2_XXS> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 66;
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from);
      for (int b = 0; b < 8; ++b) {
        const std::uint8_t* indices = from + 2 + 8 * b;
        std::uint32_t bits;
        __builtin_memcpy(&bits, indices + 4, sizeof bits);
        const float scale = iq2_scale(d, static_cast<int>(bits >> 28));
        for (int k = 0; k < 4; ++k, out += 8) {
          put_iq2_vector(kIq2XxsCodes[indices[k]], even_signs(bits >> (7 * k) & 127u), scale, out);
        }
      }
    }
  }
};

// f16 d, 32 times 16 bits (9 of codebook index, 7 signs), 8 bytes of two scales.
template <>
struct Format<DType::kIQ2_XS> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 74;
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from);
      for (int k = 0; k < 32; ++k, out += 8) {
        const unsigned word = from[2 + 2 * k] | static_cast<unsigned>(from[3 + 2 * k]) << 8;
        const int scale = from[66 + k / 4] >> (4 * (k / 2 % 2)) & 15;
        put_iq2_vector(kIq2XsCodes[word & 511u], even_signs(word >> 9), iq2_scale(d, scale), out);
      }
    }
  }
};

// f16 d, 32 low bytes of codebook indices, 32 bytes of signs, 8 bytes with the high 2 bits of four
// indices each, 8 bytes of two scales.
template <>
struct Format<DType::kIQ2_S> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 82;
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from);
      for (int k = 0; k < 32; ++k, out += 8) {
        const unsigned high = from[66 + k / 4] >> (2 * (k % 4)) & 3u;
        const int scale = from[74 + k / 4] >> (4 * (k / 2 % 2)) & 15;
        put_iq2_vector(kIq2SCodes[from[2 + k] | high << 8], from[34 + k], iq2_scale(d, scale), out);
      }
    }
  }
};

}  // namespace
}  // namespace windlass

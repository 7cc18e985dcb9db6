// IQ3_XXS and IQ3_S: vectors of 4 magnitudes from a codebook, a sign for each weight, a 4-bit scale
// for 32 weights. w = d * (0.5 + scale) / 2 * magnitude for XXS, d * (1 + 2 * scale) * magnitude
// for S. For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/codebooks.h"
#include "cpu_kernels/formats/format.h"
#include "cpu_kernels/formats/iq2.h"

namespace windlass {
namespace {

// magnitude(code) for each of four codes.
template <class Magnitude>
inline void put_iq3_vector(unsigned codes, unsigned signs, float scale, float* out,
                           Magnitude magnitude) {
  for (int j = 0; j < 4; ++j) {
    const int code = static_cast<int>(codes >> (3 * j) & 7u);
    out[j] = scale * static_cast<float>(magnitude(code) * sign_of(signs, j));
  }
}

// f16 d, 64 codebook indices, then for 32 weights 32 bits: 4 times 7 signs, the scale.
template <>
struct Format<DType::kIQ3_XXS> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 98;
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    const auto magnitude = [](int code) {
      return 4 + 8 * code + ((code + 1) >> 3) * 2;
    };  // .. 52, 62
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from);
      for (int b = 0; b < 8; ++b) {
        std::uint32_t bits;
        __builtin_memcpy(&bits, from + 66 + 4 * b, sizeof bits);
        const float scale = d * (0.5f + static_cast<float>(bits >> 28)) * 0.5f;
        for (int k = 0; k < 8; ++k, out += 4) {
          const unsigned signs = even_signs(bits >> (7 * (k / 2)) & 127u) >> (4 * (k % 2));
          put_iq3_vector(kIq3XxsCodes[from[2 + 8 * b + k]], signs, scale, out, magnitude);
        }
      }
    }
  }
};

// f16 d, 64 low bytes of codebook indices, 8 bytes with their ninth bits, 32 bytes of signs, 4
// bytes of two scales.
template <>
struct Format<DType::kIQ3_S> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 110;
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    const auto magnitude = [](int code) { return 2 * code + 1; };
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from);
      for (int k = 0; k < 64; ++k, out += 4) {
        const int b = k / 8;
        const unsigned ninth = from[66 + b] >> (k % 8) & 1u;
        const unsigned signs = static_cast<unsigned>(from[74 + k / 2]) >> (4 * (k % 2));
        const int scale = from[106 + b / 2] >> (4 * (b % 2)) & 15;
        put_iq3_vector(kIq3SCodes[from[2 + k] | ninth << 8], signs,
                       d * static_cast<float>(1 + 2 * scale), out, magnitude);
      }
    }
  }
};

}  // namespace
}  // namespace windlass

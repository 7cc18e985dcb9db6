// IQ1_S and IQ1_M: vectors of 8 weights of -1, 0, 1 from a codebook, shifted by an eighth up or
// down; w = d * (2 * scale + 1) * (value + delta), with a 3-bit scale for 32 (S) or 16 (M) weights.
// For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/codebooks.h"
#include "cpu_kernels/formats/format.h"

namespace windlass {
namespace {

inline void put_iq1_vector(unsigned index, bool down, float scale, float* out) {
  const float delta = down ? -0.125f : 0.125f;
  const unsigned codes = kIq1Codes[index];
  for (int j = 0; j < 8; ++j) {
    out[j] = scale * (static_cast<float>(static_cast<int>(codes >> (2 * j) & 3u) - 1) + delta);
  }
}

// f16 d, 32 low bytes of codebook indices, then 16 bits for 32 weights: 4 times 3 high bits of an
// index, the scale, the sign of delta.
template <>
struct Format<DType::kIQ1_S> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 50;
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const float d = half_at<V>(from);
      for (int b = 0; b < 8; ++b) {
        const unsigned word = from[34 + 2 * b] | static_cast<unsigned>(from[35 + 2 * b]) << 8;
        const float scale = d * static_cast<float>(2 * (word >> 12 & 7u) + 1);
        for (int k = 0; k < 4; ++k, out += 8) {
          const unsigned high = word >> (3 * k) & 7u;
          put_iq1_vector(from[2 + 4 * b + k] | high << 8, word >> 15 != 0, scale, out);
        }
      }
    }
  }
};

// 32 low bytes of codebook indices, 16 bytes of two nibbles (3 high bits of an index, the sign of
// delta), 4 times 16 bits: 4 scales, and on top a nibble of the f16 d.
template <>
struct Format<DType::kIQ1_M> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 56;
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 256, from += kBlockBytes) {
      const std::uint8_t* words = from + 48;
      const std::uint8_t bytes[2] = {static_cast<std::uint8_t>(words[1] >> 4 | (words[3] & 0xf0)),
                                     static_cast<std::uint8_t>(words[5] >> 4 | (words[7] & 0xf0))};
      const float d = half_at<V>(bytes);
      for (int k = 0; k < 32; ++k, out += 8) {
        const int group = k / 2;  // of 16 weights
        const unsigned word = words[group / 4 * 2] | static_cast<unsigned>(words[group / 4 * 2 + 1])
                                                         << 8;
        const float scale = d * static_cast<float>(2 * (word >> (3 * (group % 4)) & 7u) + 1);
        const unsigned nibble = from[32 + k / 2] >> (4 * (k % 2)) & 15u;
        put_iq1_vector(from[k] | (nibble & 7u) << 8, nibble >> 3 != 0, scale, out);
      }
    }
  }
};

}  // namespace
}  // namespace windlass

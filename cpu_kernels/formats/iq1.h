// IQ1_S and IQ1_M: vectors of 8 weights of -1, 0, 1 from a codebook, shifted by an eighth up or
// down; w = d * (2 * scale + 1) * (value + delta), with a 3-bit scale for 32 (S) or 16 (M) weights.
// Codes are 8 * (value + delta). For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/row_codes.h"
#include "src/ops/codebooks.h"

namespace windlass {
namespace {

inline float iq1_scale(float d, unsigned scale) {
  return d * static_cast<float>(2 * scale + 1) * 0.125f;
}

// Adds 1 or -1 to each of eight signed bytes; their top bits are added without the carry.
inline void put_iq1_vector(unsigned index, bool down, std::uint8_t* out) {
  constexpr std::uint64_t kLow = 0x7f7f7f7f7f7f7f7fu;
  const std::uint64_t values = kIq1Vectors.vectors[index];
  const std::uint64_t delta = down ? ~std::uint64_t{0} : 0x0101010101010101u;
  const std::uint64_t sum = ((values & kLow) + (delta & kLow)) ^ ((values ^ delta) & ~kLow);
  __builtin_memcpy(out, &sum, sizeof sum);
}

// f16 d, 32 low bytes of codebook indices, then 16 bits for 32 weights: 4 times 3 high bits of an
// index, the scale, the sign of delta.
template <>
struct Format<DType::kIQ1_S> : RowCodes<Format<DType::kIQ1_S>> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 50;
  static constexpr int kScaleWeights = 32;
  static void unpack_scales(const std::uint8_t* block, float* scales) {
    const float d = half_of_bits(u16_at(block));
    for (int b = 0; b < 8; ++b) scales[b] = iq1_scale(d, u16_at(block + 34 + 2 * b) >> 12 & 7u);
  }
  static void unpack_codes(const std::uint8_t* block, int part, std::uint8_t* codes) {
    const unsigned word = u16_at(block + 34 + 2 * part);
    for (int k = 0; k < 4; ++k) {
      const unsigned index = block[2 + 4 * part + k] | (word >> (3 * k) & 7u) << 8;
      put_iq1_vector(index, word >> 15 != 0, codes + 8 * k);
    }
  }
};

// 32 low bytes of codebook indices, 16 bytes of two nibbles (3 high bits of an index, the sign of
// delta), 4 times 16 bits: 4 scales, and on top a nibble of the f16 d.
template <>
struct Format<DType::kIQ1_M> : RowCodes<Format<DType::kIQ1_M>> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 56;
  static constexpr int kScaleWeights = 16;
  static void unpack_scales(const std::uint8_t* block, float* scales) {
    const std::uint8_t* words = block + 48;
    unsigned half = 0;
    for (int i = 0; i < 4; ++i) half |= u16_at(words + 2 * i) >> 12 << (4 * i);
    const float d = half_of_bits(half);
    for (int g = 0; g < 16; ++g) {
      scales[g] = iq1_scale(d, u16_at(words + g / 4 * 2) >> (3 * (g % 4)) & 7u);
    }
  }
  static void unpack_codes(const std::uint8_t* block, int part, std::uint8_t* codes) {
    for (int k = 0; k < 4; ++k) {
      const unsigned nibble = static_cast<unsigned>(block[32 + 2 * part + k / 2]) >> (4 * (k % 2));
      const unsigned index = block[4 * part + k] | (nibble & 7u) << 8;
      put_iq1_vector(index, (nibble & 8u) != 0, codes + 8 * k);
    }
  }
};

}  // namespace
}  // namespace windlass

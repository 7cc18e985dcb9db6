// IQ2_XXS, IQ2_XS, IQ2_S: vectors of 8 magnitudes from a codebook, a sign for each weight, a 4-bit
// scale for 32 (XXS) or 16 weights; w = d * (0.5 + scale) / 4 * magnitude. For inclusion by
// isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/row_codes.h"
#include "src/ops/codebooks.h"

namespace windlass {
namespace {

inline float iq2_scale(float d, unsigned scale) {
  return d * (0.5f + static_cast<float>(scale)) * 0.25f;
}

// 16 scales, two a byte.
inline void put_iq2_scales(float d, const std::uint8_t* bytes, float* scales) {
  for (int g = 0; g < 16; ++g) {
    scales[g] = iq2_scale(d, static_cast<unsigned>(bytes[g / 2]) >> (4 * (g % 2)) & 15u);
  }
}

// f16 d, then for 32 weights 4 bytes of codebook indices and 32 bits: 4 times 7 signs, the scale.
template <>
struct Format<DType::kIQ2_XXS> : RowCodes<Format<DType::kIQ2_XXS>> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 66;
  static constexpr int kScaleWeights = 32;
  static void unpack_scales(const std::uint8_t* block, float* scales) {
    const float d = half_of_bits(u16_at(block));
    for (int b = 0; b < 8; ++b) scales[b] = iq2_scale(d, u32_at(block + 6 + 8 * b) >> 28);
  }
  static void unpack_codes(const std::uint8_t* block, int part, std::uint8_t* codes) {
    const std::uint8_t* indices = block + 2 + 8 * part;
    const std::uint32_t bits = u32_at(indices + 4);
    for (int k = 0; k < 4; ++k) {
      put_signed(kIq2XxsVectors.vectors[indices[k]], kEvenSignMasks.vectors[bits >> (7 * k) & 127u],
                 codes + 8 * k);
    }
  }
};

// f16 d, 32 times 16 bits (9 of codebook index, 7 signs), 8 bytes of two scales.
template <>
struct Format<DType::kIQ2_XS> : RowCodes<Format<DType::kIQ2_XS>> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 74;
  static constexpr int kScaleWeights = 16;
  static void unpack_scales(const std::uint8_t* block, float* scales) {
    put_iq2_scales(half_of_bits(u16_at(block)), block + 66, scales);
  }
  static void unpack_codes(const std::uint8_t* block, int part, std::uint8_t* codes) {
    for (int k = 0; k < 4; ++k) {
      const unsigned word = u16_at(block + 2 + 8 * part + 2 * k);
      put_signed(kIq2XsVectors.vectors[word & 511u], kEvenSignMasks.vectors[word >> 9],
                 codes + 8 * k);
    }
  }
};

// f16 d, 32 low bytes of codebook indices, 32 bytes of signs, 8 bytes with the high 2 bits of four
// indices each, 8 bytes of two scales.
template <>
struct Format<DType::kIQ2_S> : RowCodes<Format<DType::kIQ2_S>> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 82;
  static constexpr int kScaleWeights = 16;
  static void unpack_scales(const std::uint8_t* block, float* scales) {
    put_iq2_scales(half_of_bits(u16_at(block)), block + 74, scales);
  }
  static void unpack_codes(const std::uint8_t* block, int part, std::uint8_t* codes) {
    const unsigned high = block[66 + part];
    for (int k = 0; k < 4; ++k) {
      const unsigned index = block[2 + 4 * part + k] | (high >> (2 * k) & 3u) << 8;
      put_signed(kIq2SVectors.vectors[index], kSignMasks.vectors[block[34 + 4 * part + k]],
                 codes + 8 * k);
    }
  }
};

}  // namespace
}  // namespace windlass

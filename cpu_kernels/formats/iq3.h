// IQ3_XXS and IQ3_S: vectors of 4 magnitudes from a codebook, a sign for each weight, a 4-bit scale
// for 32 weights. w = d * (0.5 + scale) / 2 * magnitude for XXS, d * (1 + 2 * scale) * magnitude
// for S. For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/row_codes.h"
#include "src/ops/codebooks.h"

namespace windlass {
namespace {

// f16 d, 64 codebook indices, then for 32 weights 32 bits: 4 times 7 signs, the scale.
template <>
struct Format<DType::kIQ3_XXS> : RowCodes<Format<DType::kIQ3_XXS>> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 98;
  static constexpr int kScaleWeights = 32;
  static void unpack_scales(const std::uint8_t* block, float* scales) {
    const float d = half_of_bits(u16_at(block));
    for (int b = 0; b < 8; ++b) {
      scales[b] = d * (0.5f + static_cast<float>(u32_at(block + 66 + 4 * b) >> 28)) * 0.5f;
    }
  }
  static void unpack_codes(const std::uint8_t* block, int part, std::uint8_t* codes) {
    const std::uint8_t* indices = block + 2 + 8 * part;
    const std::uint32_t bits = u32_at(block + 66 + 4 * part);
    for (int k = 0; k < 4; ++k) {
      const std::uint64_t low = kIq3XxsVectors.vectors[indices[2 * k]];
      const std::uint64_t high = kIq3XxsVectors.vectors[indices[2 * k + 1]];
      put_signed(low | high << 32, kEvenSignMasks.vectors[bits >> (7 * k) & 127u], codes + 8 * k);
    }
  }
};

// f16 d, 64 low bytes of codebook indices, 8 bytes with their ninth bits, 32 bytes of signs, 4
// bytes of two scales.
template <>
struct Format<DType::kIQ3_S> : RowCodes<Format<DType::kIQ3_S>> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 110;
  static constexpr int kScaleWeights = 32;
  static void unpack_scales(const std::uint8_t* block, float* scales) {
    const float d = half_of_bits(u16_at(block));
    for (int b = 0; b < 8; ++b) {
      const int scale = block[106 + b / 2] >> (4 * (b % 2)) & 15;
      scales[b] = d * static_cast<float>(1 + 2 * scale);
    }
  }
  static void unpack_codes(const std::uint8_t* block, int part, std::uint8_t* codes) {
    const std::uint8_t* indices = block + 2 + 8 * part;
    const unsigned ninth = static_cast<unsigned>(block[66 + part]) << 8;
    for (int k = 0; k < 4; ++k) {
      const unsigned first = indices[2 * k] | (ninth >> (2 * k) & 256u);
      const unsigned second = indices[2 * k + 1] | (ninth >> (2 * k + 1) & 256u);
      const std::uint64_t low = kIq3SVectors.vectors[first], high = kIq3SVectors.vectors[second];
      put_signed(low | high << 32, kSignMasks.vectors[block[74 + 4 * part + k]], codes + 8 * k);
    }
  }
};

}  // namespace
}  // namespace windlass

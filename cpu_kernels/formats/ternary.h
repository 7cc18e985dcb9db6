// TQ1_0 and TQ2_0: weights of -1, 0, 1 times the f16 d of 256. For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/row_codes.h"

namespace windlass {
namespace {

inline void put_one_scale(const std::uint8_t* half, float* scales) {
  const float d = half_of_bits(u16_at(half));
  for (int b = 0; b < 8; ++b) scales[b] = d;
}

// Digit `digit`, less 1, of `width` bytes that hold base-3 fractions: byte / 256 = 0.t0 t1 t2 t3 t4
// in base 3.
inline void put_ternary(const std::uint8_t* bytes, int width, int digit, std::uint8_t* codes) {
  constexpr unsigned kPowers[5] = {1, 3, 9, 27, 81};
  for (int i = 0; i < width; ++i) {
    codes[i] = static_cast<std::uint8_t>(((bytes[i] * kPowers[digit] & 255u) * 3 >> 8) - 1u);
  }
}

// 32 and 16 bytes of five weights, 4 bytes of four, f16 d. Of each of the three stretches come
// first digit 0 of all bytes, then digit 1, ..
template <>
struct Format<DType::kTQ1_0> : RowCodes<Format<DType::kTQ1_0>> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 54;
  static constexpr int kScaleWeights = 32;
  static void unpack_scales(const std::uint8_t* block, float* scales) {
    put_one_scale(block + 52, scales);
  }
  static void unpack_codes(const std::uint8_t* block, int part, std::uint8_t* codes) {
    if (part < 5) return put_ternary(block, 32, part, codes);
    put_ternary(block + 32, 16, 2 * (part - 5), codes);
    if (part < 7) return put_ternary(block + 32, 16, 2 * (part - 5) + 1, codes + 16);
    for (int k = 0; k < 4; ++k) put_ternary(block + 48, 4, k, codes + 16 + 4 * k);
  }
};

// 64 bytes of four 2-bit weights (32 bytes make 128 weights), f16 d.
template <>
struct Format<DType::kTQ2_0> : RowCodes<Format<DType::kTQ2_0>> {
  static constexpr std::int64_t kBlockWeights = 256, kBlockBytes = 66;
  static constexpr int kScaleWeights = 32;
  static void unpack_scales(const std::uint8_t* block, float* scales) {
    put_one_scale(block + 64, scales);
  }
  static void unpack_codes(const std::uint8_t* block, int part, std::uint8_t* codes) {
    const std::uint8_t* bytes = block + 32 * (part / 4);
    for (int i = 0; i < 32; ++i) {
      codes[i] = static_cast<std::uint8_t>((bytes[i] >> (2 * (part % 4)) & 3) - 1);
    }
  }
};

}  // namespace
}  // namespace windlass

// What types whose codes come from tables have in common: a row is unpacked by itself, to signed
// bytes and float scales; what goes over several rows, and to floats, is made of that. For
// inclusion by isa_*.cpp alone.
//
// Format<kType> derives from RowCodes<Format<kType>> and has
//   unpack_scales(block, scales): one for each kScaleWeights weights of a block;
//   unpack_codes(block, part, codes): the 32 codes of q8 block `part` of a block.
#pragma once

#include "cpu_kernels/formats/format.h"

namespace windlass {
namespace {

template <class Type>
struct RowCodes {
  static constexpr Codes kCodes = Codes::kSigned8;
  static constexpr int kPartBlocks = 1;
  static constexpr int kZeroPoint = 0;
  static constexpr bool kHasOffset = false;

  template <class V>
  static void load_scales(const std::uint8_t* const* rows, std::int64_t at, typename V::F* d,
                          typename V::F*) {
    constexpr int kScales = static_cast<int>(Type::kBlockWeights) / Type::kScaleWeights;
    alignas(64) float scales[kScales][V::kLanes];
    for (int lane = 0; lane < V::kLanes; ++lane) {
      float of_row[kScales];
      Type::unpack_scales(rows[lane] + at, of_row);
      for (int s = 0; s < kScales; ++s) scales[s][lane] = of_row[s];
    }
    for (int s = 0; s < kScales; ++s) d[s] = V::load(scales[s]);
  }

  template <class V>
  static void load_codes(const std::uint8_t* const* rows, std::int64_t at, int part,
                         typename V::B* steps) {
    alignas(64) std::uint8_t codes[V::kLanes][32];
    const std::uint8_t* code_rows[V::kLanes];
    for (int lane = 0; lane < V::kLanes; ++lane) {
      Type::unpack_codes(rows[lane] + at, part, codes[lane]);
      code_rows[lane] = codes[lane];
    }
    V::load_rows32(code_rows, 0, steps);
  }

  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    constexpr int kScales = static_cast<int>(Type::kBlockWeights) / Type::kScaleWeights;
    constexpr int kGroups = 32 / Type::kScaleWeights;
    for (; n > 0; n -= Type::kBlockWeights, from += Type::kBlockBytes) {
      float scales[kScales];
      Type::unpack_scales(from, scales);
      for (int part = 0; part < kScales / kGroups; ++part, out += 32) {
        alignas(64) std::uint8_t codes[32];
        Type::unpack_codes(from, part, codes);
        for (int i = 0; i < 32; i += V::kLanes) {
          const typename V::F scale = V::set1(scales[part * kGroups + i / Type::kScaleWeights]);
          V::store(out + i, V::mul(V::to_f32(V::load_i8(codes + i)), scale));
        }
      }
    }
  }
};

inline std::uint32_t u32_at(const std::uint8_t* from) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return bits;
}
inline unsigned u16_at(const std::uint8_t* from) {
  return from[0] | static_cast<unsigned>(from[1]) << 8;
}

// The float of an f16's bits. Bodies that see one row have no vector layer to ask.
inline float half_of_bits(unsigned half) {
  const std::uint32_t magnitude = half & 0x7fffu;
  const bool finite = magnitude < 0x7c00u;
  // Exponent and mantissa in their places, 112 too low; the product puts that right, of subnormals
  // too.
  const std::uint32_t bits = finite ? magnitude << 13 : 0x7f800000u | (magnitude & 0x3ffu) << 13;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  if (finite) value *= 0x1p112f;
  return (half & 0x8000u) != 0 ? -value : value;
}

// Eight magnitudes, none of them 0, with the signs of a mask: no byte carries into the next.
inline void put_signed(std::uint64_t magnitudes, std::uint64_t mask, std::uint8_t* out) {
  const std::uint64_t bytes = (magnitudes ^ mask) + (mask & 0x0101010101010101u);
  __builtin_memcpy(out, &bytes, sizeof bytes);
}

}  // namespace
}  // namespace windlass

// NVFP4: 64 weights as 4 groups of 16 with an unsigned E4M3 scale each; 4 scales, then 8 bytes a
// group: weight i in the low nibble of byte i, weight 8 + i in its high one. w = scale / 2 * value,
// the values being those of E2M1, doubled. For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/codebooks.h"
#include "cpu_kernels/formats/format.h"

namespace windlass {
namespace {

// Half of an unsigned E4M3 number (bias 7; 0x7f is no number and reads as 0).
inline float half_e4m3(std::uint8_t bits) {
  if (bits == 0x7f) return 0.0f;
  const int exponent = bits >> 3 & 15;
  const float mantissa = static_cast<float>(bits & 7);
  if (exponent == 0) return mantissa * 0x1p-10f;
  const std::uint32_t power_bits = static_cast<std::uint32_t>(exponent - 8 + 127) << 23;
  float power;
  __builtin_memcpy(&power, &power_bits, sizeof power);
  return (1.0f + mantissa * 0.125f) * power;
}

template <>
struct Format<DType::kNVFP4> {
  static constexpr std::int64_t kBlockWeights = 64, kBlockBytes = 36;
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (; n > 0; n -= 64, from += kBlockBytes) {
      for (int g = 0; g < 4; ++g, out += 16) {
        const float scale = half_e4m3(from[g]);
        const std::uint8_t* nibbles = from + 4 + 8 * g;
        for (int i = 0; i < 8; ++i) {
          out[i] = scale * static_cast<float>(kFp4Values[nibbles[i] & 15]);
          out[8 + i] = scale * static_cast<float>(kFp4Values[nibbles[i] >> 4]);
        }
      }
    }
  }
};

}  // namespace
}  // namespace windlass

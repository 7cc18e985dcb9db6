// NVFP4: 64 weights as 4 groups of 16 with an unsigned E4M3 scale each; 4 scales, then 8 bytes a
// group: weight i in the low nibble of byte i, weight 8 + i in its high one. w = scale / 2 * value,
// the values being those of E2M1, doubled. For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/format.h"
#include "src/ops/codebooks.h"

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
  static constexpr Codes kCodes = Codes::kSigned8;
  static constexpr int kScaleWeights = 16, kPartBlocks = 1;
  static constexpr int kZeroPoint = 0;
  static constexpr bool kHasOffset = false;
  // The 7 bits as exponent and mantissa of a float are 2^-119 times half their number, subnormals
  // too.
  template <class V>
  static void load_scales(const std::uint8_t* const* rows, std::int64_t at, typename V::F* d,
                          typename V::F*) {
    typename V::I head[4];
    V::load_rows16(rows, at, head);
    for (int g = 0; g < 4; ++g) {
      const typename V::I byte = byte_of<V>(head[0], g);
      const typename V::I bits = V::shift_left(V::and_i(byte, V::set1_i(0x7f)), 20);
      // 255 + (byte - 0x7f modulo 256) has bit 8, but where the byte is 0x7f.
      const typename V::I other = V::and_i(V::add_i(byte, V::set1_i(256 - 0x7f)), V::set1_i(255));
      const typename V::I is_number = V::shift_right(V::add_i(other, V::set1_i(255)), 8);
      d[g] = V::mul(V::from_bits(V::mul_i(bits, is_number)), V::set1(0x1p119f));
    }
  }
  // The low nibbles of 8 bytes, then their high ones, for each scale.
  template <class V>
  static void load_codes(const std::uint8_t* const* rows, std::int64_t at, int part,
                         typename V::B* steps) {
    typename V::B bytes[4];
    V::load_rows16(rows, at + 4 + 16 * part, bytes);
    for (int j = 0; j < 8; ++j) {
      const typename V::B four = bytes[j / 4 * 2 + j % 2];
      const typename V::B nibbles = j % 4 < 2 ? V::low_nibbles(four) : V::high_nibbles(four);
      steps[j] = V::lookup16(kFp4Values, nibbles);
    }
  }
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

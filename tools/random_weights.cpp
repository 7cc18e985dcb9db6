#include "tools/random_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "src/base/check.h"
#include "src/base/half.h"

namespace windlass {
namespace {

constexpr double kWordDeviation =
    18918.6;  // of 65536 equally likely neighbours: sqrt((n^2 - 1) / 12)

// What makes random bytes weights of a wanted spread: the f16 scale of each block, and for types
// with a minimum the one that puts the mean at zero. Else every other block's scale is negated by a
// random bit, so that the mean of the codes cancels out.
struct BlockScales {
  DType type;
  int scale, minimum;        // byte offsets; -1: none
  double minimum_per_scale;  // sign and all, as it is stored
  double deviation;          // root mean square of the weights at a scale of 1 (measured)
};
constexpr BlockScales kBlockScales[] = {
    {DType::kQ4_0, 0, -1, 0, 4.6098},   {DType::kQ4_1, 0, 2, -7.5, 4.6098},
    {DType::kQ5_0, 0, -1, 0, 9.249},    {DType::kQ5_1, 0, 2, -15.5, 9.237},
    {DType::kQ8_0, 0, -1, 0, 73.9},     {DType::kQ2_K, 80, 82, 1.5, 13.88},
    {DType::kQ3_K, 108, -1, 0, 43.4},   {DType::kQ4_K, 0, 2, 7.5, 258.4},
    {DType::kQ5_K, 0, 2, 15.5, 527.0},  {DType::kQ6_K, 208, -1, 0, 1368.0},
    {DType::kIQ4_NL, 0, -1, 0, 67.4},   {DType::kIQ4_XS, 0, -1, 0, 1247.0},
    {DType::kIQ1_S, 0, -1, 0, 7.20},    {DType::kIQ2_XXS, 0, -1, 0, 53.4},
    {DType::kIQ2_XS, 0, -1, 0, 55.9},   {DType::kIQ2_S, 0, -1, 0, 56.4},
    {DType::kIQ3_XXS, 0, -1, 0, 142.4}, {DType::kIQ3_S, 0, -1, 0, 140.3},
    {DType::kTQ1_0, 52, -1, 0, 0.8176}, {DType::kTQ2_0, 64, -1, 0, 1.224},
};
constexpr double kIq1MDeviation = 7.19, kFp4Deviation = 5.852;  // of E2M1's values, doubled

void store_u16(std::byte* to, std::uint16_t value) { std::memcpy(to, &value, 2); }

void set_block_scales(const BlockScales& scales, std::span<std::byte> bytes, double deviation) {
  const std::uint16_t scale = f16_from_f32(static_cast<float>(deviation / scales.deviation));
  const auto minimum = static_cast<float>(scales.minimum_per_scale) * f32_from_f16(scale);
  const auto step = static_cast<std::size_t>(dtype_info(scales.type).block_bytes);
  for (std::size_t i = 0; i < bytes.size(); i += step) {
    std::byte* at = &bytes[i] + scales.scale;
    const unsigned sign = scales.minimum < 0 ? std::to_integer<unsigned>(*at) & 1u : 0u;
    store_u16(at, static_cast<std::uint16_t>(scale | sign << 15));
    if (scales.minimum >= 0) store_u16(&bytes[i] + scales.minimum, f16_from_f32(minimum));
  }
}

// The f16 scale lies in the top nibbles of four words.
void set_iq1_m_scales(std::span<std::byte> bytes, double deviation) {
  const unsigned scale = f16_from_f32(static_cast<float>(deviation / kIq1MDeviation));
  for (std::size_t i = 0; i < bytes.size(); i += 56) {
    for (unsigned k = 0; k < 4; ++k) {
      std::byte& high = bytes[i + 49 + 2 * k];
      high = (high & std::byte{15}) | static_cast<std::byte>((scale >> (4 * k) & 15u) << 4);
    }
  }
}

// A power of two, the nearest there is.
void set_mxfp4_scales(std::span<std::byte> bytes, double deviation) {
  const double exponent = std::round(std::log2(deviation / kFp4Deviation)) + 128;
  const auto byte = static_cast<std::byte>(static_cast<int>(std::clamp(exponent, 0.0, 254.0)));
  for (std::size_t i = 0; i < bytes.size(); i += 17) bytes[i] = byte;
}

// Unsigned E4M3, of which the decoder takes half: the nearest from 2^-9 (its least step) to 448.
void set_nvfp4_scales(std::span<std::byte> bytes, double deviation) {
  const double scale = std::clamp(2 * deviation / kFp4Deviation, 0x1p-9, 448.0);
  const int exponent = std::max(std::ilogb(scale), -6);
  const double steps = std::round(std::scalbn(scale, 3 - exponent));  // 8 to 16, below 8: subnormal
  const int bits = (exponent + 6) * 8 + static_cast<int>(steps);
  for (std::size_t i = 0; i < bytes.size(); i += 36) {
    for (std::size_t k = 0; k < 4; ++k) bytes[i + k] = static_cast<std::byte>(bits);
  }
}

// Replaces random 16-bit words by floats of that spread.
template <typename Store>
void words_to_halves(std::span<std::byte> bytes, double deviation, Store store) {
  const auto scale = static_cast<float>(deviation / kWordDeviation);
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    std::int16_t word;
    std::memcpy(&word, &bytes[i], 2);
    store_u16(&bytes[i], store(static_cast<float>(word) * scale));
  }
}

void words_to_floats(std::span<std::byte> bytes, double deviation) {
  const auto scale = static_cast<float>(deviation / kWordDeviation);
  for (std::size_t i = 0; i < bytes.size(); i += 4) {
    std::int16_t word;
    std::memcpy(&word, &bytes[i], 2);
    const float value = static_cast<float>(word) * scale;
    std::memcpy(&bytes[i], &value, 4);
  }
}

}  // namespace

RandomWeights::RandomWeights(std::uint64_t seed) {
  for (std::uint64_t& word : state_) {
    std::uint64_t z = (seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    word = z ^ (z >> 31);
  }
}

std::uint64_t RandomWeights::next() {
  auto& s = state_;
  const std::uint64_t result = std::rotl(s[0] + s[3], 23) + s[0];
  const std::uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = std::rotl(s[3], 45);
  return result;
}

void RandomWeights::fill_random(std::span<std::byte> bytes) {
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    const std::uint64_t word = next();
    std::memcpy(&bytes[i], &word, 8);
  }
  if (i < bytes.size()) {
    const std::uint64_t word = next();
    std::memcpy(&bytes[i], &word, bytes.size() - i);
  }
}

void RandomWeights::fill(DType type, double deviation, std::span<std::byte> bytes) {
  WINDLASS_CHECK(static_cast<std::int64_t>(bytes.size()) % dtype_info(type).block_bytes == 0,
                 bytes.size());
  fill_random(bytes);
  for (const BlockScales& scales : kBlockScales) {
    if (scales.type == type) return set_block_scales(scales, bytes, deviation);
  }
  switch (type) {
    case DType::kF32:
      return words_to_floats(bytes, deviation);
    case DType::kF16:
      return words_to_halves(bytes, deviation, f16_from_f32);
    case DType::kBF16:
      return words_to_halves(bytes, deviation, bf16_from_f32);
    case DType::kIQ1_M:
      return set_iq1_m_scales(bytes, deviation);
    case DType::kMXFP4:
      return set_mxfp4_scales(bytes, deviation);
    case DType::kNVFP4:
      return set_nvfp4_scales(bytes, deviation);
    default:
      WINDLASS_CHECK(false, static_cast<int>(type));
  }
}

}  // namespace windlass

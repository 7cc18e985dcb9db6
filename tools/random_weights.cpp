#include "tools/random_weights.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "src/base/check.h"
#include "src/base/half.h"

namespace windlass {
namespace {

// Standard deviations of what uniform bits give: n equally likely neighbours have sqrt((n^2 - 1) /
// 12).
constexpr double kNibbleDeviation = 4.6098;  // 16 values
constexpr double kByteDeviation = 73.9;      // 256 values
constexpr double kWordDeviation = 18918.6;   // 65536 values

// Every other block's scale is negated by a random bit, so that the nibbles' mean of -0.5 cancels
// out.
std::uint16_t signed_scale(std::uint16_t scale, std::byte random) {
  return static_cast<std::uint16_t>(scale ^ ((std::to_integer<unsigned>(random) & 1u) << 15));
}

void store_u16(std::byte* to, std::uint16_t value) { std::memcpy(to, &value, 2); }

void set_q4_0_scales(std::span<std::byte> bytes, double deviation) {
  const std::uint16_t scale = f16_from_f32(static_cast<float>(deviation / kNibbleDeviation));
  for (std::size_t i = 0; i < bytes.size(); i += 18)
    store_u16(&bytes[i], signed_scale(scale, bytes[i]));
}

// value = scale * nibble + minimum: the minimum puts the mean of 7.5 at zero.
void set_q4_1_scales(std::span<std::byte> bytes, double deviation) {
  const std::uint16_t scale = f16_from_f32(static_cast<float>(deviation / kNibbleDeviation));
  const std::uint16_t minimum = f16_from_f32(-7.5f * f32_from_f16(scale));
  for (std::size_t i = 0; i < bytes.size(); i += 20) {
    store_u16(&bytes[i], scale);
    store_u16(&bytes[i + 2], minimum);
  }
}

// The format's writers keep to -127..127.
void set_q8_0_scales(std::span<std::byte> bytes, double deviation) {
  const std::uint16_t scale = f16_from_f32(static_cast<float>(deviation / kByteDeviation));
  for (std::byte& byte : bytes) byte = byte == std::byte{0x80} ? std::byte{0x81} : byte;
  for (std::size_t i = 0; i < bytes.size(); i += 34)
    store_u16(&bytes[i], signed_scale(scale, bytes[i]));
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
  switch (type) {
    case DType::kF32:
      return words_to_floats(bytes, deviation);
    case DType::kF16:
      return words_to_halves(bytes, deviation, f16_from_f32);
    case DType::kBF16:
      return words_to_halves(bytes, deviation, bf16_from_f32);
    case DType::kQ4_0:
      return set_q4_0_scales(bytes, deviation);
    case DType::kQ4_1:
      return set_q4_1_scales(bytes, deviation);
    case DType::kQ8_0:
      return set_q8_0_scales(bytes, deviation);
    default:
      WINDLASS_CHECK(false, static_cast<int>(type));
  }
}

}  // namespace windlass

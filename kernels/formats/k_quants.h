// Types of 256 weights with scales of their groups: Q2_K to Q6_K, and IQ4_XS.
#pragma once

#include "kernels/formats/blocks_32.h"

namespace windlass {

// Codes of 2 bits, of 64 bytes: byte k of each half's 32 holds weights k, 32 + k, 64 + k and 96 + k
// of the half, from its lowest bits up.
template <class From>
__device__ CodePair two_bit_codes(From bytes, int part, int j) {
  const From from = bytes + 32 * (part / 4);
  const int shift = part % 4 * 2;
  return {load_u32(from, j) >> shift & 0x03030303u, load_u32(from, 4 + j) >> shift & 0x03030303u};
}

// A byte for each group: scale and, above it, minimum.
template <>
struct Decoder<DType::kQ2_K> {
  static constexpr int kWeights = 256, kBytes = 84, kGroups = 2;
  static constexpr bool kHasOffset = true;
  template <class From>
  static __device__ CodePair codes(From block, int part, int j) {
    return two_bit_codes(block + 16, part, j);
  }
  template <class From>
  static __device__ Group group(From block, int part, int half) {
    const std::uint32_t byte = block[2 * part + half];
    return {load_half(block + 80) * static_cast<float>(byte & 15u),
            -(load_half(block + 82) * static_cast<float>(byte >> 4))};
  }
};

// The third bits of codes: bit `part` of 32 bytes.
template <>
struct Decoder<DType::kQ3_K> {
  static constexpr int kWeights = 256, kBytes = 110, kGroups = 2;
  static constexpr bool kHasOffset = false;
  template <class From>
  static __device__ CodePair codes(From block, int part, int j) {
    const CodePair two = two_bit_codes(block + 32, part, j);
    const std::uint32_t low = load_u32(block, j) >> part & 0x01010101u;
    const std::uint32_t high = load_u32(block, 4 + j) >> part & 0x01010101u;
    return {less_128(two.low << 5 | low << 7), less_128(two.high << 5 | high << 7)};
  }
  // A scale has 6 bits, the low four in the nibbles of 8 bytes, the high two in 4 more.
  template <class From>
  static __device__ Group group(From block, int part, int half) {
    const From scales = block + 96;
    const int g = 2 * part + half;
    const std::uint32_t low = scales[g % 8] >> (g / 8 * 4) & 15u;
    const std::uint32_t high = scales[8 + g % 4] >> (g / 4 * 2) & 3u;
    const int scale = static_cast<int>(low | high << 4) - 32;
    return {load_half(block + 108) * static_cast<float>(scale) * 0x1p-5f, 0};
  }
};

// Group g's scale and minimum, of 6 bits each: the first four in their bytes, the others in nibbles
// and what is left.
template <class From>
__device__ Group six_bit_group(From block, int g) {
  const From bytes = block + 4;
  const std::uint32_t first = bytes[g], second = bytes[g + 4];
  const std::uint32_t above = g < 4 ? 0 : bytes[g - 4];
  const std::uint32_t scale = g < 4 ? first & 63u : (second & 15u) | above >> 6 << 4;
  const std::uint32_t minimum = g < 4 ? second & 63u : second >> 4 | first >> 6 << 4;
  return {load_half(block) * static_cast<float>(scale),
          -(load_half(block + 2) * static_cast<float>(minimum))};
}

// Of each 32 bytes of nibbles the low ones are a group of 32 and the high ones the next.
template <>
struct Decoder<DType::kQ4_K> {
  static constexpr int kWeights = 256, kBytes = 144, kGroups = 1;
  static constexpr bool kHasOffset = true;
  template <class From>
  static __device__ CodePair codes(From block, int part, int j) {
    const From from = block + (16 + 32 * (part / 2));
    return {nibbles(load_u32(from, j), part % 2), nibbles(load_u32(from, 4 + j), part % 2)};
  }
  template <class From>
  static __device__ Group group(From block, int part, int) {
    return six_bit_group(block, part);
  }
};

// Fifth bits as the third ones of Q3_K.
template <>
struct Decoder<DType::kQ5_K> {
  static constexpr int kWeights = 256, kBytes = 176, kGroups = 1;
  static constexpr bool kHasOffset = true;
  template <class From>
  static __device__ CodePair codes(From block, int part, int j) {
    const From from = block + (48 + 32 * (part / 2));
    const std::uint32_t low = load_u32(block + 16, j) >> part & 0x01010101u;
    const std::uint32_t high = load_u32(block + 16, 4 + j) >> part & 0x01010101u;
    return {nibbles(load_u32(from, j), part % 2) | low << 4,
            nibbles(load_u32(from, 4 + j), part % 2) | high << 4};
  }
  template <class From>
  static __device__ Group group(From block, int part, int) {
    return six_bit_group(block, part);
  }
};

// Halves of 128: nibbles of 64 bytes, the low ones first; the two bits above them four to a byte,
// 32 weights apart.
template <>
struct Decoder<DType::kQ6_K> {
  static constexpr int kWeights = 256, kBytes = 210, kGroups = 2;
  static constexpr bool kHasOffset = false;
  template <class From>
  static __device__ CodePair codes(From block, int part, int j) {
    const From four = block + (64 * (part / 4) + 32 * (part % 2));
    const From top = block + (128 + 32 * (part / 4));
    return {code(load_u32(four, j), load_u32(top, j), part % 4),
            code(load_u32(four, 4 + j), load_u32(top, 4 + j), part % 4)};
  }
  template <class From>
  static __device__ Group group(From block, int part, int half) {
    const auto scale = static_cast<std::int8_t>(block[192 + 2 * part + half]);
    return {load_half(block + 208) * static_cast<float>(scale) * 0x1p-2f, 0};
  }

 private:
  static __device__ std::uint32_t code(std::uint32_t four, std::uint32_t top, int quarter) {
    return less_128(nibbles(four, quarter / 2) << 2 | (top >> (2 * quarter) & 0x03030303u) << 6);
  }
};

template <>
struct Decoder<DType::kIQ4_XS> {
  static constexpr int kWeights = 256, kBytes = 136, kGroups = 1;
  static constexpr bool kHasOffset = false;
  template <class From>
  static __device__ CodePair codes(From block, int part, int j) {
    return looked_up_iq4(load_u32(block + (8 + 16 * part), j));
  }
  template <class From>
  static __device__ Group group(From block, int part, int) {
    const std::uint32_t low = block[4 + part / 2] >> (4 * (part % 2)) & 15u;
    const std::uint32_t high = load_u16(block + 2) >> (2 * part) & 3u;
    return {load_half(block) * static_cast<float>(static_cast<int>(low | high << 4) - 32), 0};
  }
};

}  // namespace windlass

// Types with a scale for 32 weights: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4; and NVFP4, with
// one for 16. Where weights are nibbles, the low ones of 16 bytes come first, then the high ones.
#pragma once

#include "kernels/formats/decoder.h"
#include "src/ops/codebooks.h"

namespace windlass {

struct Block32 {
  static constexpr int kWeights = 32, kGroups = 1;
  static constexpr bool kHasOffset = false;
};
struct Block32Offset {
  static constexpr int kWeights = 32, kGroups = 1;
  static constexpr bool kHasOffset = true;
  template <class From>
  static __device__ Group group(From block, int, int) {
    return {load_half(block), load_half(block + 2)};
  }
};

template <>
struct Decoder<DType::kQ4_0> : Block32 {
  static constexpr int kBytes = 18;
  template <class From>
  static __device__ CodePair codes(From block, int, int j) {
    const std::uint32_t four = load_u32(block + 2, j);
    return {less_128(four << 4 & 0xf0f0f0f0u), less_128(four & 0xf0f0f0f0u)};
  }
  template <class From>
  static __device__ Group group(From block, int, int) {
    return {load_half(block) * 0x1p-4f, 0};
  }
};

template <>
struct Decoder<DType::kQ4_1> : Block32Offset {
  static constexpr int kBytes = 20;
  template <class From>
  static __device__ CodePair codes(From block, int, int j) {
    const std::uint32_t four = load_u32(block + 4, j);
    return {low_nibbles(four), high_nibbles(four)};
  }
};

// Bits i to i + 3 of `bits`, each the lowest of a byte.
inline __device__ std::uint32_t spread_bits(std::uint32_t bits, int i) {
  // Shifted by 0, 7, 14 and 21, bit k of four comes to bit 8 * k once, and no two to the same.
  return (bits >> i & 15u) * 0x00204081u & 0x01010101u;
}

template <>
struct Decoder<DType::kQ5_0> : Block32 {
  static constexpr int kBytes = 22;
  template <class From>
  static __device__ CodePair codes(From block, int, int j) {
    const std::uint32_t fifth = load_u32(block + 2), four = load_u32(block + 6, j);
    return {less_128(low_nibbles(four) << 3 | spread_bits(fifth, 4 * j) << 7),
            less_128(high_nibbles(four) << 3 | spread_bits(fifth, 16 + 4 * j) << 7)};
  }
  template <class From>
  static __device__ Group group(From block, int, int) {
    return {load_half(block) * 0x1p-3f, 0};
  }
};

template <>
struct Decoder<DType::kQ5_1> : Block32Offset {
  static constexpr int kBytes = 24;
  template <class From>
  static __device__ CodePair codes(From block, int, int j) {
    const std::uint32_t fifth = load_u32(block + 4), four = load_u32(block + 8, j);
    return {low_nibbles(four) | spread_bits(fifth, 4 * j) << 4,
            high_nibbles(four) | spread_bits(fifth, 16 + 4 * j) << 4};
  }
};

template <>
struct Decoder<DType::kQ8_0> : Block32 {
  static constexpr int kBytes = 34;
  template <class From>
  static __device__ CodePair codes(From block, int, int j) {
    return {load_u32(block + 2, j), load_u32(block + 2, 4 + j)};
  }
  template <class From>
  static __device__ Group group(From block, int, int) {
    return {load_half(block), 0};
  }
};

// 16 signed bytes as words.
struct NibbleTable {
  std::uint32_t a, b, c, d;
};
constexpr std::uint32_t four_values(const std::int8_t* values) {
  std::uint32_t four = 0;
  for (int j = 0; j < 4; ++j) four |= std::uint32_t{static_cast<std::uint8_t>(values[j])} << 8 * j;
  return four;
}
constexpr NibbleTable nibble_table(const std::int8_t* values) {
  return {four_values(values), four_values(values + 4), four_values(values + 8),
          four_values(values + 12)};
}
constexpr NibbleTable kIq4Table = nibble_table(kIq4Values), kFp4Table = nibble_table(kFp4Values);

// What four nibbles, the lowest of `nibbles`, stand for.
inline __device__ std::uint32_t looked_up_four(std::uint32_t nibbles, std::uint32_t a,
                                               std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  const std::uint32_t low = __byte_perm(a, b, nibbles & 0x7777u);
  const std::uint32_t high = __byte_perm(c, d, nibbles & 0x7777u);
  return __byte_perm(low, high, 0x3210u | (nibbles & 0x8888u) >> 1);
}

// What the low nibbles of four bytes stand for, and the high ones.
inline __device__ CodePair looked_up(std::uint32_t four, std::uint32_t a, std::uint32_t b,
                                     std::uint32_t c, std::uint32_t d) {
  const std::uint32_t first = looked_up_four(four & 0xffffu, a, b, c, d);
  const std::uint32_t second = looked_up_four(four >> 16, a, b, c, d);
  return {__byte_perm(first, second, 0x6420u), __byte_perm(first, second, 0x7531u)};
}
inline __device__ CodePair looked_up_iq4(std::uint32_t four) {
  return looked_up(four, kIq4Table.a, kIq4Table.b, kIq4Table.c, kIq4Table.d);
}
inline __device__ CodePair looked_up_fp4(std::uint32_t four) {
  return looked_up(four, kFp4Table.a, kFp4Table.b, kFp4Table.c, kFp4Table.d);
}

template <>
struct Decoder<DType::kIQ4_NL> : Block32 {
  static constexpr int kBytes = 18;
  template <class From>
  static __device__ CodePair codes(From block, int, int j) {
    return looked_up_iq4(load_u32(block + 2, j));
  }
  template <class From>
  static __device__ Group group(From block, int, int) {
    return {load_half(block), 0};
  }
};

// The scale is 2^(e - 128): half of E8M0, as the values are doubled; a denormal for e < 2.
template <>
struct Decoder<DType::kMXFP4> : Block32 {
  static constexpr int kBytes = 17;
  template <class From>
  static __device__ CodePair codes(From block, int, int j) {
    return looked_up_fp4(load_u32(block + 1, j));
  }
  template <class From>
  static __device__ Group group(From block, int, int) {
    const std::uint32_t e = block[0];
    return {f32_of_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23), 0};
  }
};

// Four groups of 16: their scales, then 8 bytes each, low nibbles before high ones. A scale is half
// of an unsigned E4M3 number (bias 7; 0x7f is none, and reads as 0).
template <>
struct Decoder<DType::kNVFP4> {
  static constexpr int kWeights = 64, kBytes = 36, kGroups = 2;
  static constexpr bool kHasOffset = false;
  template <class From>
  static __device__ CodePair codes(From block, int part, int j) {
    const From bytes = block + (4 + 16 * part);
    const CodePair first = looked_up_fp4(load_u32(bytes, j % 2)),
                   second = looked_up_fp4(load_u32(bytes, 2 + j % 2));
    return j < 2 ? CodePair{first.low, second.low} : CodePair{first.high, second.high};
  }
  template <class From>
  static __device__ Group group(From block, int part, int half) {
    const std::uint32_t bits = block[2 * part + half];
    const std::uint32_t exponent = bits >> 3 & 15u;
    const float mantissa = static_cast<float>(bits & 7u);
    const float normal = (1.0f + mantissa * 0.125f) * f32_of_bits((exponent + 119u) << 23);
    const float number = exponent == 0 ? mantissa * 0x1p-10f : normal;
    return {bits == 0x7f ? 0.0f : number, 0};
  }
};

}  // namespace windlass

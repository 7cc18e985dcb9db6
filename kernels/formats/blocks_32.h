// Types with a scale for 32 weights: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, MXFP4; and NVFP4, with
// one for 16. Where weights are nibbles, the low ones of 16 bytes come first, then the high ones.
#pragma once

#include "kernels/formats/decoder.h"

namespace windlass {

// What the nibbles of IQ4_NL and IQ4_XS stand for, and those of MXFP4 and NVFP4: E2M1, doubled.
static __device__ const std::int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                      1,    13,   25,  38,  53,  69,  89,  113};
static __device__ const std::int8_t kFp4Values[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                                      0, -1, -2, -3, -4, -6, -8, -12};

// Nibbles of 16 bytes, four bytes a part.
struct NibbleParts {
  static constexpr int kWeights = 32, kSecondRun = 16;
  static __device__ int first_run(int part) { return 4 * part; }
};

template <>
struct Decoder<DType::kQ4_0> : NibbleParts {
  static constexpr std::int64_t kBytes = 18;
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    const float d = load_half(block);
    const std::uint32_t four = load_u32(block + 2 + 4 * part);
    for (int j = 0; j < 4; ++j) {
      w[j] = static_cast<float>(low_nibble(four, j) - 8) * d;
      w[4 + j] = static_cast<float>(high_nibble(four, j) - 8) * d;
    }
  }
};

template <>
struct Decoder<DType::kQ4_1> : NibbleParts {
  static constexpr std::int64_t kBytes = 20;
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    const float d = load_half(block), minimum = load_half(block + 2);
    const std::uint32_t four = load_u32(block + 4 + 4 * part);
    for (int j = 0; j < 4; ++j) {
      w[j] = static_cast<float>(low_nibble(four, j)) * d + minimum;
      w[4 + j] = static_cast<float>(high_nibble(four, j)) * d + minimum;
    }
  }
};

// Codes of 5 bits: weight i's fifth is bit i of four bytes.
inline __device__ int fifth_bit(std::uint32_t fifth, int i) {
  return static_cast<int>(fifth >> i & 1u) << 4;
}

template <>
struct Decoder<DType::kQ5_0> : NibbleParts {
  static constexpr std::int64_t kBytes = 22;
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    const float d = load_half(block);
    const std::uint32_t fifth = load_u32(block + 2) >> (4 * part);
    const std::uint32_t four = load_u32(block + 6 + 4 * part);
    for (int j = 0; j < 4; ++j) {
      w[j] = d * static_cast<float>((low_nibble(four, j) | fifth_bit(fifth, j)) - 16);
      w[4 + j] = d * static_cast<float>((high_nibble(four, j) | fifth_bit(fifth, 16 + j)) - 16);
    }
  }
};

template <>
struct Decoder<DType::kQ5_1> : NibbleParts {
  static constexpr std::int64_t kBytes = 24;
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    const float d = load_half(block), minimum = load_half(block + 2);
    const std::uint32_t fifth = load_u32(block + 4) >> (4 * part);
    const std::uint32_t four = load_u32(block + 8 + 4 * part);
    for (int j = 0; j < 4; ++j) {
      w[j] = d * static_cast<float>(low_nibble(four, j) | fifth_bit(fifth, j)) + minimum;
      w[4 + j] = d * static_cast<float>(high_nibble(four, j) | fifth_bit(fifth, 16 + j)) + minimum;
    }
  }
};

template <>
struct Decoder<DType::kQ8_0> {
  static constexpr int kWeights = 32, kSecondRun = 4;
  static constexpr std::int64_t kBytes = 34;
  static __device__ int first_run(int part) { return 8 * part; }
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    const float d = load_half(block);
    const std::uint32_t first = load_u32(block + 2 + 8 * part);
    const std::uint32_t second = load_u32(block + 6 + 8 * part);
    for (int j = 0; j < 4; ++j) {
      w[j] = static_cast<float>(signed_byte_of(first, j)) * d;
      w[4 + j] = static_cast<float>(signed_byte_of(second, j)) * d;
    }
  }
};

// d times what the nibbles of four bytes stand for.
inline __device__ void decode_values(std::uint32_t four, const std::int8_t* values, float d,
                                     float* w) {
  for (int j = 0; j < 4; ++j) {
    w[j] = d * static_cast<float>(values[low_nibble(four, j)]);
    w[4 + j] = d * static_cast<float>(values[high_nibble(four, j)]);
  }
}

template <>
struct Decoder<DType::kIQ4_NL> : NibbleParts {
  static constexpr std::int64_t kBytes = 18;
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    decode_values(load_u32(block + 2 + 4 * part), kIq4Values, load_half(block), w);
  }
};

// The scale is 2^(e - 128): half of E8M0, as the values are doubled; a denormal for e < 2.
template <>
struct Decoder<DType::kMXFP4> : NibbleParts {
  static constexpr std::int64_t kBytes = 17;
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    const std::uint32_t e = *block;
    const float d = f32_of_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23);
    decode_values(load_u32(block + 1 + 4 * part), kFp4Values, d, w);
  }
};

// Four groups of 16: their scales, then 8 bytes each, low nibbles before high ones. A scale is half
// of an unsigned E4M3 number (bias 7; 0x7f is none, and reads as 0).
template <>
struct Decoder<DType::kNVFP4> {
  static constexpr int kWeights = 64, kSecondRun = 8;
  static constexpr std::int64_t kBytes = 36;
  static __device__ int first_run(int part) { return 16 * (part / 2) + 4 * (part % 2); }
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    decode_values(load_u32(block + 4 + 4 * part), kFp4Values, scale(block[part / 2]), w);
  }

 private:
  static __device__ float scale(std::uint32_t bits) {
    if (bits == 0x7f) return 0.0f;
    const std::uint32_t exponent = bits >> 3 & 15u;
    const float mantissa = static_cast<float>(bits & 7u);
    if (exponent == 0) return mantissa * 0x1p-10f;
    return (1.0f + mantissa * 0.125f) * f32_of_bits((exponent + 119u) << 23);
  }
};

}  // namespace windlass

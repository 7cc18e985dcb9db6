// Types of 256 weights with scales of their groups: Q2_K to Q6_K, and IQ4_XS. A block is a warp's,
// eight weights a lane.
#pragma once

#include "kernels/formats/blocks_32.h"

namespace windlass {

// Codes of 2 bits: byte k of each half's 32 holds weights k, 32 + k, 64 + k and 96 + k of the half,
// from its lowest bits up. A part takes two of the four from four bytes.
struct TwoBitParts {
  static constexpr int kWeights = 256, kSecondRun = 32;
  static __device__ int byte(int part) { return part % 16 * 4; }  // of 64
  static __device__ int pair(int part) { return part / 16; }      // of weights of a byte
  static __device__ int first_run(int part) {
    return byte(part) / 32 * 128 + pair(part) * 64 + byte(part) % 32;
  }
};

template <>
struct Decoder<DType::kQ2_K> : TwoBitParts {
  static constexpr std::int64_t kBytes = 84;
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    const float d = load_half(block + 80), dmin = load_half(block + 82);
    const std::uint32_t four = load_u32(block + 16 + byte(part));
    for (int run = 0; run < 2; ++run) {
      const int first = first_run(part) + run * kSecondRun;
      const float scale = d * static_cast<float>(block[first / 16] & 15);
      const float minimum = dmin * static_cast<float>(block[first / 16] >> 4);
      const int shift = 4 * pair(part) + 2 * run;
      for (int j = 0; j < 4; ++j) {
        w[4 * run + j] = scale * static_cast<float>(byte_of(four, j) >> shift & 3) - minimum;
      }
    }
  }
};

template <>
struct Decoder<DType::kQ3_K> : TwoBitParts {
  static constexpr std::int64_t kBytes = 110;
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    const float d = load_half(block + 108);
    const std::uint32_t four = load_u32(block + 32 + byte(part));
    const std::uint32_t third = load_u32(block + byte(part) % 32);
    for (int run = 0; run < 2; ++run) {
      const int first = first_run(part) + run * kSecondRun;
      const float scale = d * static_cast<float>(scale_code(block + 96, first / 16) - 32);
      const int shift = 4 * pair(part) + 2 * run;
      for (int j = 0; j < 4; ++j) {
        const int high = byte_of(third, j) >> (first / 32) & 1;
        const int code = (byte_of(four, j) >> shift & 3) | high << 2;
        w[4 * run + j] = scale * static_cast<float>(code - 4);
      }
    }
  }

 private:
  // Of group g: 6 bits, the low four in the nibbles of 8 bytes, the high two in 4 more.
  static __device__ int scale_code(const std::uint8_t* scales, int g) {
    const int low = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4;
    return low | (scales[8 + g % 4] >> (2 * (g / 4)) & 3) << 4;
  }
};

// Nibbles of 128 bytes: of 32 bytes each, the low ones are a group of 32 and the high ones the
// next.
struct GroupedNibbleParts {
  static constexpr int kWeights = 256, kSecondRun = 32;
  static __device__ int first_run(int part) { return part / 8 * 64 + part % 8 * 4; }
};

struct GroupScale {
  float scale, minimum;
};

// Group g's, of 6 bits each: the first four in their bytes, the others in nibbles and what is left.
inline __device__ GroupScale group_scale(const std::uint8_t* block, int g) {
  const std::uint8_t* bytes = block + 4;
  int scale = bytes[g] & 63, minimum = bytes[g + 4] & 63;
  if (g >= 4) {
    scale = (bytes[g + 4] & 15) | bytes[g - 4] >> 6 << 4;
    minimum = bytes[g + 4] >> 4 | bytes[g] >> 6 << 4;
  }
  return {load_half(block) * static_cast<float>(scale),
          load_half(block + 2) * static_cast<float>(minimum)};
}

template <>
struct Decoder<DType::kQ4_K> : GroupedNibbleParts {
  static constexpr std::int64_t kBytes = 144;
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    const GroupScale a = group_scale(block, part / 8 * 2), b = group_scale(block, part / 8 * 2 + 1);
    const std::uint32_t four = load_u32(block + 16 + 4 * part);
    for (int j = 0; j < 4; ++j) {
      w[j] = a.scale * static_cast<float>(low_nibble(four, j)) - a.minimum;
      w[4 + j] = b.scale * static_cast<float>(high_nibble(four, j)) - b.minimum;
    }
  }
};

template <>
struct Decoder<DType::kQ5_K> : GroupedNibbleParts {
  static constexpr std::int64_t kBytes = 176;
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    const int g = part / 8 * 2;
    const GroupScale a = group_scale(block, g), b = group_scale(block, g + 1);
    const std::uint32_t fifth = load_u32(block + 16 + part % 8 * 4) >> g;
    const std::uint32_t four = load_u32(block + 48 + 4 * part);
    for (int j = 0; j < 4; ++j) {
      const int low = low_nibble(four, j) | (byte_of(fifth, j) & 1) << 4;
      const int high = high_nibble(four, j) | (byte_of(fifth, j) & 2) << 3;
      w[j] = a.scale * static_cast<float>(low) - a.minimum;
      w[4 + j] = b.scale * static_cast<float>(high) - b.minimum;
    }
  }
};

// Halves of 128: nibbles of 64 bytes, the low ones first; the two bits above them four to a byte,
// 32 weights apart.
template <>
struct Decoder<DType::kQ6_K> {
  static constexpr int kWeights = 256, kSecondRun = 64;
  static constexpr std::int64_t kBytes = 210;
  static __device__ int first_run(int part) { return part / 16 * 128 + part % 16 * 4; }
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    const float d = load_half(block + 208);
    const int half = part / 16, k = part % 16 * 4, first = first_run(part);
    const std::uint32_t four = load_u32(block + 4 * part);
    const std::uint32_t top = load_u32(block + 128 + 32 * half + k % 32) >> (k / 32 * 2);
    const float a = d * static_cast<float>(signed_byte_of(block[192 + first / 16], 0));
    const float b = d * static_cast<float>(signed_byte_of(block[196 + first / 16], 0));
    for (int j = 0; j < 4; ++j) {
      const int low = low_nibble(four, j) | (byte_of(top, j) & 3) << 4;
      const int high = high_nibble(four, j) | (byte_of(top, j) & 48);
      w[j] = a * static_cast<float>(low - 32);
      w[4 + j] = b * static_cast<float>(high - 32);
    }
  }
};

template <>
struct Decoder<DType::kIQ4_XS> {
  static constexpr int kWeights = 256, kSecondRun = 16;
  static constexpr std::int64_t kBytes = 136;
  static __device__ int first_run(int part) { return part / 4 * 32 + part % 4 * 4; }
  static __device__ void decode(const std::uint8_t* block, int part, float* w) {
    const int g = part / 4;
    const int low = block[4 + g / 2] >> (4 * (g % 2)) & 15;
    const int high = static_cast<int>(load_u16(block + 2) >> (2 * g) & 3u) << 4;
    const float d = load_half(block) * static_cast<float>((low | high) - 32);
    decode_values(load_u32(block + 8 + 4 * part), kIq4Values, d, w);
  }
};

}  // namespace windlass

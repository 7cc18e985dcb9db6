// Weights of each type to floats, for every kernel that reads weights: eight at a time, as a thread
// takes them. Values are those of ggml, bit for bit: a product, then a sum, never fused.
//
// A type of blocks has a Decoder (blocks_32.h, k_quants.h) with
//   kWeights, kBytes: of a block;
//   decode(block, part, w): the eight weights of part [0, kWeights / 8) of a block at any address.
//     They are what some bytes that lie side by side hold: two runs of four,
//   first_run(part): where in the block the first of them begins,
//   kSecondRun: how much further on the second does.
// A type of single numbers (floats.h) has kBytes and decode(from), of one.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/device_words.h"
#include "src/base/dtype.h"

namespace windlass {

template <DType kType>
struct Decoder;

// Where in a row the two runs of four weights begin.
struct WeightRuns {
  std::int64_t first, second;
};

inline __device__ std::uint32_t load_u8(const std::uint8_t* from) { return *from; }

inline __device__ std::uint32_t load_u16(const std::uint8_t* from) {
  if (reinterpret_cast<std::uintptr_t>(from) % 2 != 0)
    return load_u8(from) | load_u8(from + 1) << 8;
  std::uint16_t value;
  memcpy(&value, __builtin_assume_aligned(from, 2), sizeof value);
  return value;
}

// Blocks of most types are no multiple of 4 bytes, but neighbouring lanes read neighbouring bytes.
inline __device__ std::uint32_t load_u32(const std::uint8_t* from) {
  if (reinterpret_cast<std::uintptr_t>(from) % 4 != 0) {
    return load_u16(from) | load_u16(from + 2) << 16;
  }
  std::uint32_t value;
  memcpy(&value, __builtin_assume_aligned(from, 4), sizeof value);
  return value;
}

inline __device__ float load_half(const std::uint8_t* from) {
  return f32_of_half(static_cast<std::uint16_t>(load_u16(from)));
}

// Byte j of four, and its nibbles.
inline __device__ int byte_of(std::uint32_t four, int j) {
  return static_cast<int>(four >> (8 * j) & 255u);
}
inline __device__ int signed_byte_of(std::uint32_t four, int j) {
  return static_cast<std::int8_t>(byte_of(four, j));
}
inline __device__ int low_nibble(std::uint32_t four, int j) { return byte_of(four, j) & 15; }
inline __device__ int high_nibble(std::uint32_t four, int j) { return byte_of(four, j) >> 4; }

// Part `part` of a row of `width` weights, zeros past its end.
template <DType kType>
__device__ WeightRuns decode_part(const std::uint8_t* row, std::int64_t part, std::int64_t width,
                                  float* w) {
  if constexpr (requires { Decoder<kType>::kWeights; }) {
    constexpr int kParts = Decoder<kType>::kWeights / 8;
    const std::int64_t block = part / kParts;
    const int in_block = static_cast<int>(part % kParts);
    Decoder<kType>::decode(row + block * Decoder<kType>::kBytes, in_block, w);
    const std::int64_t first =
        block * Decoder<kType>::kWeights + Decoder<kType>::first_run(in_block);
    return {first, first + Decoder<kType>::kSecondRun};
  } else {
    for (std::int64_t j = 0; j < 8; ++j) {
      const std::int64_t i = 8 * part + j;
      w[j] = i < width ? Decoder<kType>::decode(row + i * Decoder<kType>::kBytes) : 0.0f;
    }
    return {8 * part, 8 * part + 4};
  }
}

// Whether rows may end in the middle of a part.
template <DType kType>
inline constexpr bool kEndsShort = !requires {
  Decoder<kType>::kWeights;
};

}  // namespace windlass

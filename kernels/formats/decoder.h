// Weights of each type as kernels read them: signed 8-bit codes, times a scale, of some types plus
// an offset, for each 32 or 16 of them. Integer products take codes and scales; floats are made of
// the same, and are those of ggml bit for bit: a product, then a sum, never fused. Where ggml
// subtracts a zero point from unsigned codes, these are shifted up until it is 128, whose
// subtraction is a change of sign bits, and the scale is as many powers of two less.
//
// A type of blocks has a Decoder (blocks_32.h, k_quants.h, codebooks.h, ternary.h) with
//   kWeights, kBytes: of a block;
//   kGroups: how many scales there are for 32 weights, 1 or 2;
//   kHasOffset: whether weights have an offset;
//   codes(block, part, j): of the 32 weights of part `part` of a block, codes 4j to 4j + 3 and 16
//     more on, j < 4;
//   group(block, part, half): scale and offset of weights 16 * half and on.
// `block` is a pointer to bytes in global memory, of any alignment, or SharedBytes.
// A type of single numbers (floats.h) has kBytes and decode(from), of one.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/device_words.h"
#include "src/base/dtype.h"

namespace windlass {

template <DType kType>
struct Decoder;

struct CodePair {
  std::uint32_t low, high;  // the first code in the lowest byte
};

struct Group {
  float scale, offset;
};

inline __device__ std::uint32_t load_u8(const std::uint8_t* from) { return *from; }

inline __device__ std::uint32_t load_u16(const std::uint8_t* from) {
  if (reinterpret_cast<std::uintptr_t>(from) % 2 != 0)
    return load_u8(from) | load_u8(from + 1) << 8;
  std::uint16_t value;
  memcpy(&value, __builtin_assume_aligned(from, 2), sizeof value);
  return value;
}

// The four bytes number `word`. Blocks of most types are no multiple of 4 bytes, but neighbouring
// lanes read neighbouring bytes.
inline __device__ std::uint32_t load_u32(const std::uint8_t* from, int word = 0) {
  from += 4 * word;
  if (reinterpret_cast<std::uintptr_t>(from) % 4 != 0) {
    return load_u16(from) | load_u16(from + 2) << 16;
  }
  std::uint32_t value;
  memcpy(&value, __builtin_assume_aligned(from, 4), sizeof value);
  return value;
}

// Bytes in shared memory, of any alignment: read by the two words that they are in, so without a
// branch; neighbours share one. REQUIRES: the word after the last byte is shared memory too.
struct SharedBytes {
  const std::uint32_t* words;
  std::uint32_t offset;  // in bytes

  __device__ SharedBytes operator+(int bytes) const {
    return {words, offset + static_cast<std::uint32_t>(bytes)};
  }
  __device__ std::uint32_t operator[](int byte) const {
    return reinterpret_cast<const std::uint8_t*>(words)[offset + static_cast<std::uint32_t>(byte)];
  }
};

inline __device__ std::uint32_t load_u32(SharedBytes from, int word = 0) {
  const std::uint32_t* words = from.words + from.offset / 4 + word;
  return __funnelshift_r(words[0], words[1], from.offset % 4 * 8);
}
inline __device__ std::uint32_t load_u16(SharedBytes from) { return load_u32(from) & 0xffffu; }

template <class From>
__device__ float load_half(From from) {
  return f32_of_half(static_cast<std::uint16_t>(load_u16(from)));
}

// Four unsigned bytes less 128 each, as signed ones.
inline __device__ std::uint32_t less_128(std::uint32_t four) { return four ^ 0x80808080u; }

// Four signed bytes less 1 each. REQUIRES: none is below -127, and those given are not negative.
inline __device__ std::uint32_t less_1(std::uint32_t four) {
  return ((four | 0x80808080u) - 0x01010101u) ^ 0x80808080u;
}

inline __device__ std::uint32_t low_nibbles(std::uint32_t four) { return four & 0x0f0f0f0fu; }
inline __device__ std::uint32_t high_nibbles(std::uint32_t four) { return four >> 4 & 0x0f0f0f0fu; }
// The low nibbles of four bytes, or the high ones.
inline __device__ std::uint32_t nibbles(std::uint32_t four, int high) {
  return four >> (4 * high) & 0x0f0f0f0fu;
}

// Byte j of four.
inline __device__ int signed_byte_of(std::uint32_t four, int j) {
  return static_cast<std::int8_t>(four >> (8 * j) & 255u);
}

inline __device__ void decode_four(std::uint32_t four, const Group& group, bool has_offset,
                                   float* w) {
  for (int j = 0; j < 4; ++j) {
    w[j] = group.scale * static_cast<float>(signed_byte_of(four, j));
    if (has_offset) w[j] += group.offset;
  }
}

// Types of single numbers.
template <DType kType>
inline constexpr bool kIsFloat = !requires {
  Decoder<kType>::kWeights;
};

// The 32 weights [32 * part, ..) of a row that begins at `row`, which has that many.
template <DType kType, class From>
__device__ void decode_32(From row, int part, float* w) {
  using Type = Decoder<kType>;
  constexpr int kParts = Type::kWeights / 32;
  const From block = row + part / kParts * Type::kBytes;
  const Group first = Type::group(block, part % kParts, 0);
  const Group second = Type::kGroups == 2 ? Type::group(block, part % kParts, 1) : first;
  for (int j = 0; j < 4; ++j) {
    const CodePair codes = Type::codes(block, part % kParts, j);
    decode_four(codes.low, first, Type::kHasOffset, w + 4 * j);
    decode_four(codes.high, second, Type::kHasOffset, w + 16 + 4 * j);
  }
}

// Where in a row two runs of four weights begin.
struct WeightRuns {
  std::int64_t first, second;
};

// A thread's share of a row of `width` weights: its eight weights number `eight`, as two runs of
// four; zeros past the row's end.
template <DType kType>
__device__ WeightRuns decode_eight(const std::uint8_t* row, std::int64_t eight, std::int64_t width,
                                   float* w) {
  if constexpr (kIsFloat<kType>) {
    for (std::int64_t j = 0; j < 8; ++j) {
      const std::int64_t i = 8 * eight + j;
      w[j] = i < width ? Decoder<kType>::decode(row + i * Decoder<kType>::kBytes) : 0.0f;
    }
    return {8 * eight, 8 * eight + 4};
  } else {
    using Type = Decoder<kType>;
    constexpr int kParts = Type::kWeights / 32;
    const std::int64_t block = eight / (4 * kParts);
    const int part = static_cast<int>(eight / 4 % kParts), j = static_cast<int>(eight % 4);
    const std::uint8_t* from = row + block * Type::kBytes;
    const CodePair codes = Type::codes(from, part, j);
    decode_four(codes.low, Type::group(from, part, 0), Type::kHasOffset, w);
    decode_four(codes.high, Type::group(from, part, 1), Type::kHasOffset, w + 4);
    const std::int64_t first = eight / 4 * 32 + 4 * j;
    return {first, first + 16};
  }
}

}  // namespace windlass

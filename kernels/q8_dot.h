// What all products of quantised weights with q8 activations share: what becomes of an integer sum
// of codes times activations. As on the CPU (cpu_kernels/q8_dot_inl.h): a group of 32 or 16 weights
// adds
//   sum = fma(round(scale * dot), x.scale, sum), then fma(offset, scale_sum of x, sum) where there
//   are offsets.
// The integer sum begins at kQ8Magic, so that it ends as the bits of the float 1.5 * 2^23 + dot:
// |dot| <= 32 * 128 * 127, an eighth of what has room. fma(that, scale, -1.5 * 2^23 * scale) is
// round(scale * dot), as the constant's product is exact: conversion and product in one operation.
//
// Sums go over segments of 256 weights: each starts at 0 and adds its groups one by one, and
// segments are added up in their order. Every path does so, whatever lanes or warps have the
// segments: one token or many, and any split of the rows, give the same bits.
#pragma once

#include <cstddef>

#include "kernels/formats/decoder.h"
#include "src/ops/op_args.h"

namespace windlass {

inline constexpr int kQ8SegmentBlocks = 8;  // q8 blocks of a segment

struct ScaledGroup {
  float scale, minus_magic, offset;
};
inline __device__ ScaledGroup scaled_group(const Group& group) {
  return {group.scale, group.scale * -12582912.0f, group.offset};
}

// A q8 block as its first 48 bytes: codes, then scale and sums.
struct alignas(16) FourWords {
  std::uint32_t words[4];
};
struct Q8Scales {
  float scale, scale_sum, half_sums[2];
};
static_assert(offsetof(Q8Block, scale) == 32 && sizeof(Q8Scales) == sizeof(FourWords));

inline __device__ const FourWords* q8_codes(const std::byte* block) {
  return reinterpret_cast<const FourWords*>(block);
}
template <bool kHasOffset>
__device__ Q8Scales q8_scales(const std::byte* block) {
  const FourWords* words = reinterpret_cast<const FourWords*>(block) + 2;
  if constexpr (!kHasOffset) return {f32_of_bits(words->words[0]), 0, {0, 0}};
  const FourWords all = *words;
  return {f32_of_bits(all.words[0]),
          f32_of_bits(all.words[1]),
          {f32_of_bits(all.words[2]), f32_of_bits(all.words[3])}};
}

// Of group `half` of a block that has kGroups.
template <int kGroups, bool kHasOffset>
__device__ float add_dot(float sum, std::int32_t dot, const ScaledGroup& group, const Q8Scales& x,
                         int half) {
  const float scaled =
      fmaf(f32_of_bits(static_cast<std::uint32_t>(dot)), group.scale, group.minus_magic);
  sum = fmaf(scaled, x.scale, sum);
  if constexpr (kHasOffset) {
    sum = fmaf(group.offset, kGroups == 1 ? x.scale_sum : x.half_sums[half], sum);
  }
  return sum;
}

// The arguments with their strides said.
inline MatMulArgs with_q8_strides(MatMulArgs args) {
  if (args.x_stride_bytes == 0) args.x_stride_bytes = q8_row_bytes(args.n_in);
  if (args.x_block_bytes == 0) args.x_block_bytes = sizeof(Q8Block);
  return args;
}

}  // namespace windlass

// Products on tensor cores that read activations where they lie: of so few tokens that they take as
// long as reading the weights does. There have to be many blocks then: each has 16 rows by up to 64
// tokens, and its four warps take a segment of n_in each, and then the next four. Sums of
// segments meet in shared memory and are added up in their order.
#pragma once

#include <algorithm>

#include "kernels/op_table.h"
#include "kernels/tile_rows.h"

namespace windlass {

struct ThinShape {
  static constexpr int kRows = 16, kTokens = 8 * kTokenTiles, kThreads = kTileWarps * kWarpLanes;
  // Floats from one token's sums to the next's: lanes write to different banks, 8t + g.
  static constexpr int kPitch = 20;
  // Of the block's tokens by rows, thread i has numbers i, i + kThreads, ..
  static constexpr int kOutputs = kRows * kTokens / kThreads;
};

struct ThinSizes {
  std::int64_t token_tiles;
  int pitch;  // bytes between staged rows
  int sums;   // floats of a warp's sums
};

// A lane's sums of a segment, rows g and g + 8 by tokens 2t and 2t + 1 of each tile, to shared
// memory.
inline __device__ void store_segment(const float (&sums)[1][kTokenTiles][4], int n_tokens,
                                     float* to) {
  const int lane = static_cast<int>(threadIdx.x % kWarpLanes), g = lane / 4, t = lane % 4;
  WINDLASS_UNROLL
  for (int n = 0; n < kTokenTiles; ++n) {
    if (8 * n >= n_tokens) continue;
    float* at = to + (8 * n + 2 * t) * ThinShape::kPitch + g;
    at[0] = sums[0][n][0];
    at[ThinShape::kPitch] = sums[0][n][1];
    at[8] = sums[0][n][2];
    at[ThinShape::kPitch + 8] = sums[0][n][3];
  }
}

// Adds `segments` segments' sums, one after the other, to the thread's totals.
inline __device__ void add_segments(const float* sums, int floats, int segments, int n_tokens,
                                    float (&totals)[ThinShape::kOutputs]) {
  WINDLASS_UNROLL
  for (int i = 0; i < ThinShape::kOutputs; ++i) {
    const int output = static_cast<int>(threadIdx.x) + i * ThinShape::kThreads;
    const int token = output / ThinShape::kRows, row = output % ThinShape::kRows;
    if (token >= n_tokens) continue;
    for (int s = 0; s < segments; ++s) {
      totals[i] += sums[s * floats + token * ThinShape::kPitch + row];
    }
  }
}

inline __device__ void store_totals(const MatMulArgs& args, std::int64_t first_token,
                                    std::int64_t first_row, std::int64_t end_row,
                                    const float (&totals)[ThinShape::kOutputs]) {
  WINDLASS_UNROLL
  for (int i = 0; i < ThinShape::kOutputs; ++i) {
    const int output = static_cast<int>(threadIdx.x) + i * ThinShape::kThreads;
    const std::int64_t token = first_token + output / ThinShape::kRows;
    const std::int64_t row = first_row + output % ThinShape::kRows;
    if (token >= args.n_tokens || row >= end_row) continue;
    float* out = args.out + token * args.out_stride + row;
    *out = args.accumulate ? *out + totals[i] : totals[i];
  }
}

// What a Segment is: kParts, of 32 weights each; and
//   add(args, info, pieces, first, parts, x, sums): adds the products of `parts` parts, from part
//   `first` of n_in on, where the pieces of rows g and g + 8, and the tokens, begin.
template <class Segment>
__global__ void __launch_bounds__(ThinShape::kThreads, 2)
    thin_kernel(MatMulArgs args, TileType info, RowRange rows, ThinSizes sizes) {
  constexpr int kParts = Segment::kParts;
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const int g = static_cast<int>(threadIdx.x % kWarpLanes) / 4;
  auto* shared = shared_memory<std::uint8_t>();
  std::uint8_t* staged = shared + warp * ThinShape::kRows * sizes.pitch;
  auto* sums = reinterpret_cast<float*>(shared + kTileWarps * ThinShape::kRows * sizes.pitch);
  const std::int64_t first_token = blockIdx.x % sizes.token_tiles * ThinShape::kTokens;
  const std::int64_t first_row = rows.begin + blockIdx.x / sizes.token_tiles * ThinShape::kRows;
  const int parts = static_cast<int>((args.n_in + 31) / 32);
  const int n_tokens =
      static_cast<int>(min(args.n_tokens - first_token, std::int64_t{ThinShape::kTokens}));
  float totals[ThinShape::kOutputs] = {};
  stage_16_rows(staged, sizes.pitch, args, info, first_row, rows.end, warp * kParts, kParts);
  for (int round = 0; round < parts; round += kTileWarps * kParts) {
    const int first = round + warp * kParts;
    commit_copies();
    wait_for_copies<0>();
    __syncthreads();
    if (first < parts) {
      const SharedBytes pieces[2] = {
          staged_row(staged, sizes.pitch, args, info, first_row, rows.end, g, first),
          staged_row(staged, sizes.pitch, args, info, first_row, rows.end, g + 8, first)};
      const TileTokens tokens = {static_cast<const std::byte*>(args.x) +
                                     first_token * args.x_stride_bytes + first * args.x_block_bytes,
                                 static_cast<int>(args.x_stride_bytes),
                                 static_cast<int>(args.x_block_bytes), n_tokens - 1};
      float of_lane[1][kTokenTiles][4] = {};
      Segment::add(args, info, pieces, first, min(parts - first, kParts), tokens, of_lane);
      store_segment(of_lane, n_tokens, sums + warp * sizes.sums);
    }
    __syncthreads();
    stage_16_rows(staged, sizes.pitch, args, info, first_row, rows.end, first + kTileWarps * kParts,
                  kParts);
    const int segments = min((parts - round + kParts - 1) / kParts, kTileWarps);
    add_segments(sums, sizes.sums, segments, n_tokens, totals);
  }
  store_totals(args, first_token, first_row, rows.end, totals);
}

// REQUIRES: strides of x are said.
template <class Segment>
void launch_thin(const MatMulArgs& args, const TileType& info, DeviceRange rows) {
  const std::int64_t bytes = Segment::kParts * 32 / info.weights * info.bytes;
  const std::int64_t tokens =
      (std::min(args.n_tokens, std::int64_t{ThinShape::kTokens}) + 7) / 8 * 8;
  const ThinSizes sizes = {(args.n_tokens + ThinShape::kTokens - 1) / ThinShape::kTokens,
                           static_cast<int>(staged_pitch(bytes)),
                           static_cast<int>(tokens) * ThinShape::kPitch};
  const std::int64_t row_tiles = (rows.end - rows.begin + ThinShape::kRows - 1) / ThinShape::kRows;
  launch(row_tiles * sizes.token_tiles, ThinShape::kThreads,
         kTileWarps * (ThinShape::kRows * sizes.pitch +
                       sizes.sums * static_cast<std::int64_t>(sizeof(float))),
         rows.stream, thin_kernel<Segment>, args, info, RowRange{rows.begin, rows.end}, sizes);
}

}  // namespace windlass

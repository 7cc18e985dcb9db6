// Matmul with f32 activations, for every weight type: a tile of 4 weight rows becomes floats in L1, then serves all
// tokens. For inclusion by isa_*.cpp alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/common_inl.h"
#include "cpu_kernels/formats_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

// 4 rows of 1024 floats are 16 KiB: they stay in a 32 KiB L1 beside the activations that stream by. The sum over n_in is
// cut here, and nowhere else, so its order depends on n_in alone.
inline constexpr std::int64_t kF32TileColumns = 1024;
inline constexpr int kF32TileTokens = 4;

struct F32Tile {
  const float* weights;  // [4, kF32TileColumns]
  std::int64_t columns, first_column;
  std::int64_t first_row, rows;  // rows <= 4
  bool add;                      // to what `out` holds: not the first columns, or args.accumulate
};

template <class V, int T>
inline void f32_tile_tokens(const MatMulArgs& args, const F32Tile& tile, std::int64_t token) {
  const float* x = static_cast<const float*>(args.x) + token * args.n_in + tile.first_column;
  float sums[T * 4];
  dot_tile<V, T>(tile.weights, kF32TileColumns, x, args.n_in, tile.columns, sums);
  for (int t = 0; t < T; ++t) {
    float* out = args.out + (token + t) * args.out_stride + tile.first_row;
    for (std::int64_t r = 0; r < tile.rows; ++r) {
      out[r] = tile.add ? out[r] + sums[t * 4 + r] : sums[t * 4 + r];
    }
  }
}

template <class V, class Format>
void matmul_f32(const MatMulArgs& args, WorkRange range) {
  alignas(64) float weights[4 * kF32TileColumns];
  const std::uint8_t* base = reinterpret_cast<const std::uint8_t*>(args.weights);
  for (std::int64_t row = range.begin; row < range.end; row += 4) {
    for (std::int64_t column = 0; column < args.n_in; column += kF32TileColumns) {
      F32Tile tile = {weights, smaller(kF32TileColumns, args.n_in - column), column, row,
                      smaller(4, range.end - row), args.accumulate || column > 0};
      const std::int64_t offset = column / Format::kBlockWeights * Format::kBlockBytes;
      for (std::int64_t r = 0; r < 4; ++r) {  // rows past the end repeat the last; their sums are dropped
        const std::int64_t source = row + smaller(r, tile.rows - 1);
        dequantize<V, Format>(base + source * args.row_bytes + offset,
                              weights + r * kF32TileColumns, tile.columns);
      }
      std::int64_t t = 0;
      for (; t + kF32TileTokens <= args.n_tokens; t += kF32TileTokens) {
        f32_tile_tokens<V, kF32TileTokens>(args, tile, t);
      }
      for (; t < args.n_tokens; ++t) f32_tile_tokens<V, 1>(args, tile, t);
    }
  }
}

}  // namespace
}  // namespace windlass

// Matmul with f32 activations, for every weight type: a tile of weight rows becomes floats in L1,
// then serves all tokens. For inclusion by isa_*.cpp alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/common_inl.h"
#include "cpu_kernels/formats_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

// A tile of 8 rows of 512 floats is 16 KiB: with the 8 KiB of 4 tokens it stays in a 32 KiB L1, and
// the tokens' values come from L2 once for two groups of 4 rows. The sum over n_in is cut at 512,
// and nowhere else, so its order depends on n_in alone.
inline constexpr std::int64_t kF32TileRows = 8, kF32TileColumns = 512;
inline constexpr int kF32TileTokens = 4;

struct F32Tile {
  alignas(64) float weights[kF32TileRows * kF32TileColumns];
  std::int64_t columns, first_column;
  std::int64_t first_row, rows;  // rows <= kF32TileRows
  bool add;                      // to what `out` holds: not the first columns, or args.accumulate
};

// Floats between tokens.
inline std::int64_t f32_stride(const MatMulArgs& args) {
  return args.x_stride_bytes > 0 ? args.x_stride_bytes / 4 : args.n_in;
}

template <class V, int T>
inline void f32_tile_tokens(const MatMulArgs& args, const F32Tile& tile, std::int64_t token) {
  const std::int64_t x_stride = f32_stride(args);
  const float* x = static_cast<const float*>(args.x) + token * x_stride + tile.first_column;
  for (std::int64_t group = 0; group < tile.rows; group += 4) {
    float sums[T * 4];
    dot_tile<V, T>(tile.weights + group * kF32TileColumns, kF32TileColumns, x, x_stride,
                   tile.columns, sums);
    for (int t = 0; t < T; ++t) {
      float* out = args.out + (token + t) * args.out_stride + tile.first_row + group;
      for (std::int64_t r = 0; r < smaller(4, tile.rows - group); ++r) {
        out[r] = tile.add ? out[r] + sums[t * 4 + r] : sums[t * 4 + r];
      }
    }
  }
}

// Rows past the end repeat the last, up to a group of 4; their sums are dropped.
inline void fill_f32_tile(F32Tile* tile, const MatMulArgs& args, const FloatForm& form) {
  const std::int64_t offset = tile->first_column / form.block_weights * form.block_bytes;
  const std::uint8_t* base = reinterpret_cast<const std::uint8_t*>(args.weights) + offset;
  for (std::int64_t r = 0; r < round_up(tile->rows, 4); ++r) {
    const std::int64_t source = tile->first_row + smaller(r, tile->rows - 1);
    form.dequantize(base + source * args.row_bytes, tile->weights + r * kF32TileColumns,
                    tile->columns);
  }
}

template <class V>
void matmul_f32_tiles(const MatMulArgs& args, WorkRange range, const FloatForm& form) {
  F32Tile tile;
  for (std::int64_t row = range.begin; row < range.end; row += kF32TileRows) {
    tile.first_row = row;
    tile.rows = smaller(kF32TileRows, range.end - row);
    for (std::int64_t column = 0; column < args.n_in; column += kF32TileColumns) {
      tile.first_column = column;
      tile.columns = smaller(kF32TileColumns, args.n_in - column);
      tile.add = args.accumulate || column > 0;
      fill_f32_tile(&tile, args, form);
      std::int64_t t = 0;
      for (; t + kF32TileTokens <= args.n_tokens; t += kF32TileTokens) {
        f32_tile_tokens<V, kF32TileTokens>(args, tile, t);
      }
      for (; t < args.n_tokens; ++t) f32_tile_tokens<V, 1>(args, tile, t);
    }
  }
}

template <class V, DType kType>
void matmul_f32(const MatMulArgs& args, WorkRange range) {
  matmul_f32_tiles<V>(args, range, float_form<V, kType>());
}

}  // namespace
}  // namespace windlass

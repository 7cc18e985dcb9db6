// Products of few tokens with weights that are plain numbers, as these lie in the file: no panel
// between them and the register tile. For inclusion by isa_*.cpp alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/common_inl.h"
#include "cpu_kernels/float_tile_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

// Where a tile's sums go: kTileRows rows of T tokens, of which `rows` exist.
struct TileOutput {
  float* out;
  std::int64_t stride, rows;
  bool add;  // to what is there
};

inline void put_sums(float* out, const float* sums, std::int64_t rows, bool add) {
  for (std::int64_t r = 0; r < rows; ++r) out[r] = add ? out[r] + sums[r] : sums[r];
}

template <int T>
inline void put_tile(const TileOutput& to, const float* sums) {
  for (int t = 0; t < T; ++t, sums += kTileRows) {
    float* out = to.out + t * to.stride;
    if (to.rows >= kTileRows) {
      put_sums(out, sums, kTileRows, to.add);
    } else {
      put_sums(out, sums, to.rows, to.add);
    }
  }
}

// The rows of a tile in the file's own numbers; past the end of a range its last row, whose sums
// are dropped.
struct FileRows {
  const std::uint8_t* rows[kTileRows];
  FileRows(const MatMulArgs& args, std::int64_t row, std::int64_t end, std::int64_t offset) {
    const auto* base = reinterpret_cast<const std::uint8_t*>(args.weights);
    for (int r = 0; r < kTileRows; ++r)
      rows[r] = base + smaller(row + r, end - 1) * args.row_bytes + offset;
  }
};

// The tokens of one tile, with the weights taken from the file's own numbers: row after row, each
// prefetching its next chunk, or the chunk that the next rows begin with.
template <class V, class Dot, class Source>
struct DirectRows {
  const MatMulArgs& args;
  WorkRange range;
  std::int64_t x_stride;

  template <int T>
  void run() const {
    constexpr std::int64_t kColumns = kChunkColumns<Dot>;
    const auto* x = static_cast<const typename Dot::Value*>(args.x);
    for (std::int64_t row = range.begin; row < range.end; row += kTileRows) {
      const FileRows here(args, row, range.end, 0);
      for (std::int64_t column = 0; column < args.n_in; column += kColumns) {
        const bool last = column + 2 * kColumns > args.n_in;
        const FileRows ahead(args, last ? row + kTileRows : row, range.end,
                             last ? 0 : (column + kColumns) * Source::kWeightBytes);
        float sums[T * kTileRows];
        float_tile<V, Dot, Source, T>(
            {here.rows, column * Source::kWeightBytes, smaller(kColumns, args.n_in - column),
             x + column, x_stride, ahead.rows},
            sums);
        put_tile<T>(
            {args.out + row, args.out_stride, range.end - row, args.accumulate || column > 0},
            sums);
      }
    }
  }
};

// What one tile of many prefetches: half of the rows' numbers, for two tiles at least share them.
template <class Source>
struct SharedSource : Source {
  static constexpr int kAhead = kTileRows / 2;
};

// One tile of a strip (below).
template <class V, class Dot, class Source>
struct StripTile {
  TileInput<Dot> in;
  TileOutput to;

  template <int T>
  void run() const {
    float sums[T * kTileRows];
    float_tile<V, Dot, SharedSource<Source>, T>(in, sums);
    put_tile<T>(to, sums);
  }
};

// The tokens of a few tiles: a chunk of theirs stays in L1 for all rows, and a chunk of rows for
// all tiles, as it came from DRAM; a panel's floats would go by way of L2.
template <class V, class Dot, class Source>
void multiply_strips(const MatMulArgs& args, WorkRange range, std::int64_t x_stride) {
  constexpr std::int64_t kColumns = kChunkColumns<Dot>;
  constexpr int kTokens = V::kTileTokensFloat;
  const auto* x = static_cast<const typename Dot::Value*>(args.x);
  const std::int64_t tiles = (args.n_tokens + kTokens - 1) / kTokens;
  PackedTokens<Dot, V::kDirectTokens> packed;
  for (std::int64_t column = 0; column < args.n_in; column += kColumns) {
    const std::int64_t n = smaller(kColumns, args.n_in - column);
    pack_tokens<Dot>(x + column, x_stride, args.n_tokens, n, packed.values[0]);
    for (std::int64_t row = range.begin; row < range.end; row += kTileRows) {
      const FileRows here(args, row, range.end, 0);
      const bool last = row + kTileRows >= range.end;
      const FileRows ahead(args, last ? range.begin : row + kTileRows, range.end,
                           (last ? column + kColumns : column) * Source::kWeightBytes);
      std::int64_t token = 0;
      for (std::int64_t tile = 0; tile < tiles; ++tile) {
        const std::int64_t left = tiles - tile;
        const std::int64_t n_tokens = (args.n_tokens - token + left - 1) / left;
        for_token_count<kTokens>(
            n_tokens, StripTile<V, Dot, Source>{
                          {here.rows, column * Source::kWeightBytes, n, packed.values[token],
                           kColumns, ahead.rows + tile % 2 * (kTileRows / 2)},
                          {args.out + token * args.out_stride + row, args.out_stride,
                           range.end - row, args.accumulate || column > 0}});
        token += n_tokens;
      }
    }
  }
}

// REQUIRES args.n_tokens <= V::kDirectTokens.
template <class V, class Dot, class Source>
inline void multiply_direct(const MatMulArgs& args, WorkRange range, std::int64_t x_stride) {
  if constexpr (V::kDirectTokens > V::kTileTokensFloat) {
    if (args.n_tokens > V::kTileTokensFloat) {
      return multiply_strips<V, Dot, Source>(args, range, x_stride);
    }
  }
  for_token_count<V::kTileTokensFloat>(args.n_tokens,
                                       DirectRows<V, Dot, Source>{args, range, x_stride});
}

}  // namespace
}  // namespace windlass

// Matmul in tile registers, of quantised weights with q8 activations and of bf16 ones: A is 16
// tokens by 32 activations as they lie in memory, B two vectors of weight rows from a panel, C
// their sums. Tiles is AmxTiles or an emulation of it, V the vector layer beside it. For inclusion
// by isa_*.cpp alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/matmul_q8_inl.h"
#include "cpu_kernels/tiles_amx.h"

namespace windlass {
namespace {

inline constexpr int kTileTokenRows = 16;
// Of the eight tiles: sums and weights of two vectors of rows, and the tokens.
inline constexpr int kSumTile0 = 0, kSumTile1 = 1, kTokenTile = 2, kRowTile0 = 3, kRowTile1 = 4;

// n_tokens rows of `token_bytes` each, against as many fours of them.
template <class V>
inline TileConfig tile_config(std::int64_t n_tokens, int token_bytes) {
  TileConfig config;
  const auto shape = [&](int tile, std::int64_t rows, int row_bytes) {
    config.rows[tile] = static_cast<std::uint8_t>(rows);
    config.row_bytes[tile] = static_cast<std::uint16_t>(row_bytes);
  };
  for (const int sums : {kSumTile0, kSumTile1}) shape(sums, n_tokens, V::kLanes * 4);
  for (const int rows : {kRowTile0, kRowTile1}) shape(rows, token_bytes / 4, V::kLanes * 4);
  shape(kTokenTile, n_tokens, token_bytes);
  return config;
}

// Calls function(first token, tokens) for all of them, 16 at a time, with tiles of that shape.
template <class V, class Tiles, class Function>
inline void for_token_tiles(Tiles& tiles, std::int64_t n_tokens, int token_bytes,
                            const Function& function) {
  std::int64_t token = 0;
  if (n_tokens >= kTileTokenRows) tiles.configure(tile_config<V>(kTileTokenRows, token_bytes));
  for (; token + kTileTokenRows <= n_tokens; token += kTileTokenRows) {
    function(token, kTileTokenRows);
  }
  if (token == n_tokens) return;
  tiles.configure(tile_config<V>(n_tokens - token, token_bytes));
  function(token, n_tokens - token);
}

// Rows of a panel: the two vectors of rows that tiles hold.
template <class V>
inline constexpr int kTileVectors = 2;
template <class V>
inline constexpr std::int64_t kTilePanelRows = kTileVectors<V>* V::kLanes;

// Products of up to 16 tokens with a panel's rows, on their way to `out`.
template <class V>
struct TileSums {
  alignas(64) float values[kTileTokenRows][kTilePanelRows<V>];
};

template <class V, class Function>
inline void for_tile_sums(const MatMulArgs& args, std::int64_t first_row, std::int64_t rows,
                          std::int64_t token, std::int64_t n_tokens, const Function& function) {
  for (std::int64_t t = 0; t < n_tokens; ++t) {
    float* out = args.out + (token + t) * args.out_stride + first_row;
    for (int v = 0; v < kTileVectors<V>; ++v) {
      const std::int64_t lane = v * V::kLanes;
      function(t, lane, out + lane, larger(rows - lane, 0));
    }
  }
}

// A block's integer sums of n_tokens from `token` on become float ones, as everywhere.
template <class V, class Kind>
inline void add_tile_block(const MatMulArgs& args, const Panel<V, Kind>& panel, std::int64_t b,
                           std::int64_t block, std::int64_t token, std::int64_t n_tokens,
                           const std::int32_t* dots, TileSums<V>* sums) {
  for (int v = 0; v < kTileVectors<V>; ++v) {
    const std::int64_t lane = v * V::kLanes;
    const typename V::F d = V::load(panel.d[b][0] + lane);
    const typename V::F minus = V::load(panel.minus[b][0] + lane);
    typename V::F offset = V::zero();
    if constexpr (Kind::kHasOffset) offset = V::load(panel.offset[b][0] + lane);
    for (std::int64_t t = 0; t < n_tokens; ++t) {
      const Q8Block& x = q8_row(args, token + t)[block * q8_block_stride(args)];
      const typename V::I dot = V::add_i(V::load_b(dots + (v * kTileTokenRows + t) * V::kLanes),
                                         V::set1_i(group_start<Kind>(x, 0)));
      float* sum = sums->values[t] + lane;
      V::store(sum, add_group<V, Kind>(V::load(sum), dot, d, minus, offset, x, 0));
    }
  }
}

template <class V, class Kind, class Tiles>
inline void tile_panel_tokens(Tiles& tiles, const MatMulArgs& args, const Panel<V, Kind>& panel,
                              const PanelSpan& span, std::int64_t token, std::int64_t n_tokens) {
  constexpr std::int64_t kVectorBytes = V::kLanes * 4;
  TileSums<V> sums;
  alignas(64) std::int32_t dots[kTileVectors<V>][kTileTokenRows][V::kLanes];
  for_tile_sums<V>(args, span.first_row, span.rows, token, n_tokens,
                   [&](std::int64_t t, std::int64_t lane, const float* out, std::int64_t n) {
                     V::store(sums.values[t] + lane, span.add ? V::load_n(out, n) : V::zero());
                   });
  const std::int64_t block_stride = q8_block_stride(args);
  const auto* x =
      reinterpret_cast<const std::byte*>(q8_row(args, token) + span.first_block * block_stride);
  const std::int64_t x_stride = reinterpret_cast<const std::byte*>(q8_row(args, 1)) -
                                reinterpret_cast<const std::byte*>(q8_row(args, 0));
  for (std::int64_t b = 0; b < span.blocks; ++b) {
    tiles.template zero<kSumTile0>();
    tiles.template zero<kSumTile1>();
    tiles.template load<kTokenTile>(
        x + b * block_stride * static_cast<std::int64_t>(sizeof(Q8Block)), x_stride);
    tiles.template load<kRowTile0>(panel.bytes[b], kTileVectors<V> * kVectorBytes);
    tiles.template load<kRowTile1>(panel.bytes[b][0] + kVectorBytes,
                                   kTileVectors<V> * kVectorBytes);
    tiles.template dot_bytes<kSumTile0, kTokenTile, kRowTile0>();
    tiles.template dot_bytes<kSumTile1, kTokenTile, kRowTile1>();
    tiles.template store<kSumTile0>(dots[0], kVectorBytes);
    tiles.template store<kSumTile1>(dots[1], kVectorBytes);
    add_tile_block<V, Kind>(args, panel, b, span.first_block + b, token, n_tokens, dots[0][0],
                            &sums);
  }
  for_tile_sums<V>(args, span.first_row, span.rows, token, n_tokens,
                   [&](std::int64_t t, std::int64_t lane, float* out, std::int64_t n) {
                     V::store_n(out, V::load(sums.values[t] + lane), n);
                   });
}

// Bit for bit what matmul_q8<V, kType> gives: integer sums are exact, and what follows is the same.
// REQUIRES: a type with a scale for 32 weights. V: byte dots of unsigned weights.
template <class V, DType kType, class Tiles>
void tile_matmul_q8(const MatMulArgs& args, WorkRange range) {
  using Kind = StepKindOf<V, kType>;
  static_assert(Kind::kGroups == 1 && kByteDots<V> && V::kRowVectors == kTileVectors<V>);
  Tiles tiles;
  Panel<V, Kind> panel;
  const std::int64_t blocks = q8_blocks(args.n_in);
  const PanelOrder order = {range, blocks,         panel_blocks<kType>(blocks), kTilePanelRows<V>,
                            false, args.accumulate};
  for (PanelSpan span = order.at(0, range.begin); span.blocks > 0 && span.rows > 0;
       span = order.after(span)) {
    fill_panel<V, kType>(&panel, args, span);
    for_token_tiles<V>(tiles, args.n_tokens, kQ8Block,
                       [&](std::int64_t token, std::int64_t n_tokens) {
                         tile_panel_tokens<V, Kind>(tiles, args, panel, span, token, n_tokens);
                       });
  }
}

// 1024 columns of two vectors of rows by pairs, [pair][rows]: 64 KiB with 16 lanes, which stay in
// L2. The sum over n_in is cut here and nowhere else.
inline constexpr std::int64_t kPairColumns = 1024;

template <class V>
struct PairPanel {
  alignas(64) std::uint8_t bytes[kPairColumns / 2][kTilePanelRows<V> * 4];
  std::int64_t first_row, rows, column, n;
};

// One vector of rows; pairs past n, up to whole tiles of 16, are zeros.
template <class V>
inline void fill_pairs(PairPanel<V>* panel, const std::uint8_t* const* rows, int lane) {
  constexpr std::int64_t kLoadBytes = 16;
  const std::int64_t end = panel->n * 2, padded = round_up(end, 64);
  for (std::int64_t at = 0; at < padded; at += kLoadBytes) {
    typename V::B pairs[4];
    if (at + kLoadBytes <= end) {
      V::load_rows16(rows + lane, panel->column * 2 + at, pairs);
    } else {  // the row may end the memory: go through a copy
      std::uint8_t last[V::kLanes][kLoadBytes] = {};
      const std::uint8_t* copies[V::kLanes];
      for (int r = 0; r < V::kLanes; ++r) {
        copies[r] = last[r];
        if (at < end) {
          __builtin_memcpy(last[r], rows[lane + r] + panel->column * 2 + at,
                           static_cast<std::size_t>(end - at));
        }
      }
      V::load_rows16(copies, 0, pairs);
    }
    for (int j = 0; j < 4; ++j) V::store_b(panel->bytes[at / 4 + j] + lane * 4, pairs[j]);
  }
}

template <class V, class Tiles>
inline void multiply_pairs(Tiles& tiles, const MatMulArgs& args, const PairPanel<V>& panel,
                           std::int64_t token, std::int64_t n_tokens) {
  constexpr std::int64_t kRowBytes = kTilePanelRows<V> * 4;
  const std::int64_t x_stride =
      args.x_stride_bytes > 0 ? args.x_stride_bytes : bf16_row_bytes(args.n_in);
  const std::byte* x = static_cast<const std::byte*>(args.x) + token * x_stride + panel.column * 2;
  tiles.template zero<kSumTile0>();
  tiles.template zero<kSumTile1>();
  for (std::int64_t at = 0; at < panel.n * 2; at += 64) {
    tiles.template load<kTokenTile>(x + at, x_stride);
    tiles.template load<kRowTile0>(panel.bytes[at / 4], kRowBytes);
    tiles.template load<kRowTile1>(panel.bytes[at / 4] + V::kLanes * 4, kRowBytes);
    tiles.template dot_pairs<kSumTile0, kTokenTile, kRowTile0>();
    tiles.template dot_pairs<kSumTile1, kTokenTile, kRowTile1>();
  }
  TileSums<V> sums;
  tiles.template store<kSumTile0>(sums.values[0], kRowBytes);
  tiles.template store<kSumTile1>(sums.values[0] + V::kLanes, kRowBytes);
  const bool add = args.accumulate || panel.column > 0;
  for_tile_sums<V>(args, panel.first_row, panel.rows, token, n_tokens,
                   [&](std::int64_t t, std::int64_t lane, float* out, std::int64_t n) {
                     const typename V::F sum = V::load(sums.values[t] + lane);
                     V::store_n(out, add ? V::add(V::load_n(out, n), sum) : sum, n);
                   });
}

// Of BF16 weights. One token takes this path too: tdpbf16ps sums in an order of its own.
template <class V, class Tiles>
void tile_matmul_bf16(const MatMulArgs& args, WorkRange range) {
  constexpr int kPanel = static_cast<int>(kTilePanelRows<V>);
  Tiles tiles;
  PairPanel<V> panel;
  for (std::int64_t row = range.begin; row < range.end; row += kPanel) {
    const std::uint8_t* rows[kPanel];
    row_pointers<kPanel>(args, row, 1, range.end, rows);
    panel.first_row = row;
    panel.rows = smaller(kPanel, range.end - row);
    for (panel.column = 0; panel.column < args.n_in; panel.column += kPairColumns) {
      panel.n = smaller(kPairColumns, args.n_in - panel.column);
      for (int v = 0; v < kTileVectors<V>; ++v) fill_pairs(&panel, rows, v * V::kLanes);
      for_token_tiles<V>(tiles, args.n_tokens, 64, [&](std::int64_t token, std::int64_t n_tokens) {
        multiply_pairs(tiles, args, panel, token, n_tokens);
      });
    }
  }
}

}  // namespace
}  // namespace windlass

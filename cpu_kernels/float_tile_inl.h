// The register tile of products that sum along the lanes, for f32 and for bf16 activations. For
// inclusion by isa_*.cpp alone.
//
// A Dot says how weights and activations meet: their Value, the Operand of kStep values that one
// instruction takes, and that instruction. A Source loads the Operands of weights: from a panel
// that holds Values, or from the file's own numbers (float_direct_inl.h); and says how many rows of
// numbers as long as its own a tile prefetches on its way (kAhead), and how near (kLocality). The
// sum of a (row, token) pair is cut at kChunkColumns, each chunk is one sum per lane in the order
// of k, then one sum over the lanes: it depends on n_in and V alone, whatever rows and tokens share
// a tile.
#pragma once

#include <cstdint>

#include "cpu_kernels/common_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

// Weight rows of a tile. By V::kTileTokensFloat = 6 tokens it loads 4 + 6 vectors for 24
// multiply-adds (16 lanes): half of what two loads a cycle could bring.
inline constexpr int kTileRows = 4;
// 32 steps of 16 floats are 2 KiB: a tile's 6 tokens and 4 rows take 20 KiB of L1, and the sums
// over lanes a tenth of the multiply-adds' time (with 64 steps a twentieth, but 40 KiB: slower).
// Whole blocks of every type.
template <class Dot>
inline constexpr std::int64_t kChunkColumns = larger(32 * Dot::kStep, 256);
// A panel of 32 rows of 2 KiB lies in L2, and serves a tile's tokens eight times from L1.
inline constexpr std::int64_t kPanelRows = 32;

template <class V>
struct F32Dot {
  using Value = float;
  using Operand = typename V::F;
  static constexpr std::int64_t kStep = V::kLanes;
  static Operand load(const float* from) { return V::load(from); }
  static Operand load_n(const float* from, std::int64_t n) { return V::load_n(from, n); }
  static void store(float* to, Operand value) { V::store(to, value); }
  static typename V::F dot(typename V::F sum, Operand weights, Operand x) {
    return V::fma(weights, x, sum);
  }
};

// Weights that are Values already, zeros after the last of a row up to a whole Operand.
template <class Dot>
struct PanelSource {
  static constexpr std::int64_t kWeightBytes = sizeof(typename Dot::Value);
  static constexpr bool kWhole = true;  // no part of an Operand is asked for
  static constexpr int kAhead = 1, kLocality = 2;
  static typename Dot::Operand load(const std::uint8_t* from) {
    return Dot::load(reinterpret_cast<const typename Dot::Value*>(from));
  }
};

// Rows of a tile and the activations that they meet: n values of each, from byte `offset` of a row.
template <class Dot>
struct TileInput {
  const std::uint8_t* const* rows;  // [kTileRows]
  std::int64_t offset, n;
  const typename Dot::Value* x;  // [T, x_stride], the first n of each
  std::int64_t x_stride;
  const std::uint8_t* const* ahead;  // [Source::kAhead], as long as a row's n: wanted soon
};

// sums[t * kTileRows + r] = the chunk's products of row r and token t.
template <class V, class Dot, class Source, int T>
inline void float_tile(const TileInput<Dot>& in, float* sums) {
  constexpr int kSums = T * kTileRows;
  typename V::F sum[kSums];
  // Unrolled here and below: sums that an index picks would lie in memory.
#pragma GCC unroll 64
  for (int k = 0; k < kSums; ++k) sum[k] = V::zero();
  std::int64_t i = 0, at = in.offset;
  for (; i + Dot::kStep <= in.n; i += Dot::kStep, at += Dot::kStep * Source::kWeightBytes) {
    for (int a = 0; a < Source::kAhead; ++a) {
      __builtin_prefetch(in.ahead[a] + i * Source::kWeightBytes, 0, Source::kLocality);
    }
    typename Dot::Operand weights[kTileRows];
    for (int r = 0; r < kTileRows; ++r) weights[r] = Source::load(in.rows[r] + at);
    for (int t = 0; t < T; ++t) {
      typename Dot::Operand x = Dot::load(in.x + t * in.x_stride + i);
      V::keep(x);
      for (int r = 0; r < kTileRows; ++r)
        sum[t * kTileRows + r] = Dot::dot(sum[t * kTileRows + r], weights[r], x);
    }
  }
  if constexpr (!Source::kWhole) {
    if (i < in.n) {
#pragma GCC unroll 4
      for (int r = 0; r < kTileRows; ++r) {
        const typename Dot::Operand weights = Source::load_n(in.rows[r] + at, in.n - i);
#pragma GCC unroll 8
        for (int t = 0; t < T; ++t) {
          const typename Dot::Operand x = Dot::load_n(in.x + t * in.x_stride + i, in.n - i);
          sum[t * kTileRows + r] = Dot::dot(sum[t * kTileRows + r], weights, x);
        }
      }
    }
  }
  for (int k = 0; k < kSums; k += 4) {
    V::sum4(sum[k], sum[k + 1], sum[k + 2], sum[k + 3], sums + k);
  }
}

// Calls function.template run<T>() with T = n. REQUIRES 1 <= n <= T at first.
template <int T, class Function>
inline void for_token_count(std::int64_t n, const Function& function) {
  if constexpr (T > 1) {
    if (n < T) return for_token_count<T - 1>(n, function);
  }
  function.template run<T>();
}

// All of a product's tokens on one panel: rows [first_row, first_row + rows) and n values from
// `column` on.
template <class Dot>
struct FloatPanel {
  alignas(64) typename Dot::Value values[kPanelRows][kChunkColumns<Dot>];
  std::int64_t first_row, rows;
  std::int64_t column, n;
  bool add;
};

// The columns of a chunk of up to T tokens side by side, zeros after the last up to a whole
// Operand: where they lie, rows of a multiple of 4 KiB would push each other out of L1.
template <class Dot, int T>
struct PackedTokens {
  alignas(64) typename Dot::Value values[T][kChunkColumns<Dot>];
};

// to: [tokens, kChunkColumns].
template <class Dot>
inline void pack_tokens(const typename Dot::Value* x, std::int64_t x_stride, std::int64_t tokens,
                        std::int64_t n, typename Dot::Value* to) {
  for (std::int64_t t = 0; t < tokens; ++t, x += x_stride, to += kChunkColumns<Dot>) {
    std::int64_t i = 0;
    for (; i + Dot::kStep <= n; i += Dot::kStep) Dot::store(to + i, Dot::load(x + i));
    if (i < n) Dot::store(to + i, Dot::load_n(x + i, n - i));
  }
}

template <class V, class Dot>
struct PanelTile {
  const MatMulArgs& args;
  const FloatPanel<Dot>& panel;
  std::int64_t x_stride, token;

  template <int T>
  void run() const {
    const auto* x = static_cast<const typename Dot::Value*>(args.x) + panel.column;
    PackedTokens<Dot, T> packed;
    pack_tokens<Dot>(x + token * x_stride, x_stride, T, panel.n, packed.values[0]);
    // Gathered here, for the rows of `out` may lie far apart.
    alignas(64) float sums[T][kPanelRows];
    for (std::int64_t row = 0; row < panel.rows; row += kTileRows) {
      const std::uint8_t* rows[kTileRows];
      for (int r = 0; r < kTileRows; ++r) {
        rows[r] = reinterpret_cast<const std::uint8_t*>(panel.values[row + r]);
      }
      const std::int64_t next = smaller(token + T + row / kTileRows, args.n_tokens - 1);
      const auto* ahead = reinterpret_cast<const std::uint8_t*>(x + next * x_stride);
      float tile[T * kTileRows];
      float_tile<V, Dot, PanelSource<Dot>, T>(
          {rows, 0, round_up(panel.n, Dot::kStep), packed.values[0], kChunkColumns<Dot>, &ahead},
          tile);
      for (int t = 0; t < T; ++t)
        __builtin_memcpy(sums[t] + row, tile + t * kTileRows, sizeof(float) * kTileRows);
    }
    for (int t = 0; t < T; ++t) {
      float* out = args.out + (token + t) * args.out_stride + panel.first_row;
      for (std::int64_t row = 0; row < panel.rows; row += V::kLanes) {
        const std::int64_t n = panel.rows - row;
        const typename V::F sum = V::load(sums[t] + row);
        V::store_n(out + row, panel.add ? V::add(V::load_n(out + row, n), sum) : sum, n);
      }
    }
  }
};

template <class V, class Dot>
inline void multiply_panel(const MatMulArgs& args, const FloatPanel<Dot>& panel,
                           std::int64_t x_stride) {
  constexpr int kTokens = V::kTileTokensFloat;
  for (std::int64_t t = 0; t < args.n_tokens; t += kTokens) {
    for_token_count<kTokens>(smaller(kTokens, args.n_tokens - t),
                             PanelTile<V, Dot>{args, panel, x_stride, t});
  }
}

// Weights times all tokens, panel by panel. fill(row, column, n, to): n values of a row from
// `column` on, and zeros up to a whole Operand.
template <class V, class Dot, class Fill>
inline void multiply_by_panels(const MatMulArgs& args, WorkRange range, std::int64_t x_stride,
                               const Fill& fill) {
  constexpr std::int64_t kColumns = kChunkColumns<Dot>;
  FloatPanel<Dot> panel;
  for (std::int64_t row = range.begin; row < range.end; row += kPanelRows) {
    panel.first_row = row;
    panel.rows = smaller(kPanelRows, range.end - row);
    for (std::int64_t column = 0; column < args.n_in; column += kColumns) {
      panel.column = column;
      panel.n = smaller(kColumns, args.n_in - column);
      panel.add = args.accumulate || column > 0;
      // Rows past the end repeat the last, up to a whole tile; their sums are dropped.
      for (std::int64_t r = 0; r < round_up(panel.rows, kTileRows); ++r) {
        fill(row + smaller(r, panel.rows - 1), column, panel.n, panel.values[r]);
      }
      multiply_panel<V>(args, panel, x_stride);
    }
  }
}

}  // namespace
}  // namespace windlass

// Matmul of 4- and 8-bit weights with q8 activations: integer dot products a block at a time,
// scaled to float. For inclusion by isa_*.cpp alone.
//
// Lanes are weight rows: the bytes of kLanes rows are transposed by groups of four, so that one
// byte-dot instruction adds four products to each row's sum and one multiply-add scales a block of
// every row. With one token the transposed bytes are used from registers (gemv); with more they go
// to a panel in L1 that serves all tokens. A (row, token) pair sees the same float operations in
// the same order either way: block by block, acc += (d * dot) * scale + offset * scale_sum, where
// weight = d * q + offset and dot = sum of q * activation, exact in integers. So one token or many,
// and any split of the rows, give bit-identical results.
#pragma once

#include <cstdint>

#include "cpu_kernels/common_inl.h"
#include "cpu_kernels/formats_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

// Whether weight = d * q + offset has an offset, and the integer sums of one block.
template <class V, class Format>
inline constexpr bool kHasOffset = Format::kNibbles || V::kZeroPoint8 != 0;

template <class V, class Format>
struct BlockDot {
  static typename V::Acc4 zero() { return V::zero_acc4(); }
  static typename V::Acc4 dot(typename V::Acc4 sum, typename V::B weights, typename V::B acts) {
    return V::dot4(sum, weights, acts);
  }
  static typename V::I finish(typename V::Acc4 sum) { return V::finish4(sum); }
  using Sum = typename V::Acc4;
};

template <class V>
struct BlockDot<V, FormatQ8_0> {
  static typename V::I zero() { return V::zero_i(); }
  static typename V::I dot(typename V::I sum, typename V::B weights, typename V::B acts) {
    return V::dot8(sum, weights, acts);
  }
  static typename V::I finish(typename V::I sum) { return sum; }
  using Sum = typename V::I;
};

// steps[j] = weights 4j .. 4j+3 of one block, for kLanes rows.
template <class V, class Format>
inline void load_block(const std::uint8_t* const* rows, std::int64_t offset, typename V::B* steps) {
  if constexpr (Format::kNibbles) {
    typename V::B bytes[4];
    V::load_rows16(rows, offset + Format::kDataOffset, bytes);
    for (int j = 0; j < 4; ++j) {
      steps[j] = V::low_nibbles(bytes[j]);
      steps[4 + j] = V::high_nibbles(bytes[j]);
    }
  } else {
    V::load_rows16(rows, offset + Format::kDataOffset, steps);
    V::load_rows16(rows, offset + Format::kDataOffset + 16, steps + 4);
    for (int j = 0; j < 8; ++j) steps[j] = V::prepare8(steps[j]);
  }
}

template <class V, class Format>
inline typename V::F add_block(typename V::F sum, typename V::I dot, typename V::F d,
                               typename V::F offset, typename V::F scale, typename V::F scale_sum) {
  sum = V::fma(V::mul(V::to_f32(dot), d), scale, sum);
  if constexpr (kHasOffset<V, Format>) sum = V::fma(offset, scale_sum, sum);
  return sum;
}

// One row of q8 activations (op_args.h).
struct Q8Row {
  const std::int8_t* values;
  const float* scales;
  const float* scale_sums;
};

inline Q8Row q8_row(const MatMulArgs& args, std::int64_t token) {
  const std::byte* row = static_cast<const std::byte*>(args.x) + token * q8_row_bytes(args.n_in);
  const float* scales = reinterpret_cast<const float*>(row + q8_values_bytes(args.n_in));
  return {reinterpret_cast<const std::int8_t*>(row), scales,
          scales + q8_scales_bytes(args.n_in) / 4};
}

// Pointers to N rows from `first` on; those past `end` repeat the last, and their results are
// dropped.
template <int N>
inline void row_pointers(const MatMulArgs& args, std::int64_t first, std::int64_t end,
                         const std::uint8_t** rows) {
  const std::uint8_t* base = reinterpret_cast<const std::uint8_t*>(args.weights);
  for (int r = 0; r < N; ++r) rows[r] = base + smaller(first + r, end - 1) * args.row_bytes;
}

// Asks for what each of N rows reads `kPrefetchBytes` later; near a row's end that is the start of
// the row that this lane reads next, N rows on. 16 rows * 256 bytes = 4 KiB ahead covers 100 ns of
// DRAM latency at 40 GB/s.
inline constexpr std::int64_t kPrefetchBytes = 256;
template <int N>
inline void prefetch_rows(const std::uint8_t* const* rows, std::int64_t offset,
                          std::int64_t row_bytes) {
  std::int64_t ahead = offset + kPrefetchBytes;
  if (ahead >= row_bytes) ahead += (N - 1) * row_bytes;
  for (int r = 0; r < N; ++r) __builtin_prefetch(rows[r] + ahead);
}

template <class V, class Format>
inline typename V::F gemv_rows(const std::uint8_t* const* rows, const Q8Row& x, std::int64_t blocks,
                               std::int64_t row_bytes, typename V::F sum) {
  using Dot = BlockDot<V, Format>;
  constexpr std::int64_t kBlocksPerLine = 64 / Format::kBlockBytes;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t offset = b * Format::kBlockBytes;
    if (b % kBlocksPerLine == 0) prefetch_rows<V::kLanes>(rows, offset, row_bytes);
    typename V::B steps[8];
    load_block<V, Format>(rows, offset, steps);
    typename Dot::Sum even = Dot::zero(), odd = Dot::zero();
    for (int j = 0; j < 8; j += 2) {
      even = Dot::dot(even, steps[j], V::broadcast4(x.values + b * 32 + 4 * j));
      odd = Dot::dot(odd, steps[j + 1], V::broadcast4(x.values + b * 32 + 4 * j + 4));
    }
    const typename V::I dot = V::add_i(Dot::finish(even), Dot::finish(odd));
    const typename V::F d = V::load_scales(rows, offset);
    sum = add_block<V, Format>(sum, dot, d, Format::template offset<V>(d, rows, offset),
                               V::set1(x.scales[b]), V::set1(x.scale_sums[b]));
  }
  return sum;
}

template <class V, class Format>
void gemv_q8(const MatMulArgs& args, WorkRange range) {
  const Q8Row x = q8_row(args, 0);
  for (std::int64_t row = range.begin; row < range.end; row += V::kLanes) {
    const std::uint8_t* rows[V::kLanes];
    row_pointers<V::kLanes>(args, row, range.end, rows);
    const std::int64_t n = range.end - row;
    const typename V::F start = args.accumulate ? V::load_n(args.out + row, n) : V::zero();
    V::store_n(args.out + row,
               gemv_rows<V, Format>(rows, x, q8_blocks(args.n_in), args.row_bytes, start), n);
  }
}

// 16 blocks (512 columns) of kRowVectors * kLanes rows: 16 KiB of bytes and 4 KiB of scales with 16
// lanes, which stay in a 32 KiB L1 beside the 3 KiB of the tokens at hand.
inline constexpr std::int64_t kPanelBlocks = 16;

template <class V>
struct Panel {
  static constexpr int kRows = V::kRowVectors * V::kLanes;
  alignas(64) std::uint8_t bytes[kPanelBlocks][8][kRows * 4];
  alignas(64) float d[kPanelBlocks][kRows];
  alignas(64) float offset[kPanelBlocks][kRows];
};

template <class V, class Format>
inline void fill_panel(Panel<V>* panel, const std::uint8_t* const* rows, std::int64_t first_block,
                       std::int64_t blocks, std::int64_t row_bytes) {
  constexpr std::int64_t kBlocksPerLine = 64 / Format::kBlockBytes;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t offset = (first_block + b) * Format::kBlockBytes;
    if (b % kBlocksPerLine == 0) prefetch_rows<Panel<V>::kRows>(rows, offset, row_bytes);
    for (int v = 0; v < V::kRowVectors; ++v) {
      const int lane = v * V::kLanes;
      typename V::B steps[8];
      load_block<V, Format>(rows + lane, offset, steps);
      for (int j = 0; j < 8; ++j) V::store_b(panel->bytes[b][j] + lane * 4, steps[j]);
      const typename V::F d = V::load_scales(rows + lane, offset);
      V::store(panel->d[b] + lane, d);
      V::store(panel->offset[b] + lane, Format::template offset<V>(d, rows + lane, offset));
    }
  }
}

struct PanelSpan {
  std::int64_t first_block, blocks;
  std::int64_t first_row, rows;  // rows <= Panel::kRows
  bool add;                      // to what `out` holds
};

// out of T tokens from `token` on (+)= panel times their blocks.
template <class V, class Format, int T>
void panel_tokens(const MatMulArgs& args, const Panel<V>& panel, const PanelSpan& span,
                  std::int64_t token) {
  using Dot = BlockDot<V, Format>;
  constexpr int kVectors = V::kRowVectors;
  typename V::F sum[T][kVectors];
  Q8Row x[T];
  for (int t = 0; t < T; ++t) {
    x[t] = q8_row(args, token + t);
    const float* out = args.out + (token + t) * args.out_stride + span.first_row;
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t lane = v * V::kLanes;
      sum[t][v] = span.add ? V::load_n(out + lane, larger(span.rows - lane, 0)) : V::zero();
    }
  }
  for (std::int64_t b = 0; b < span.blocks; ++b) {
    const std::int64_t block = span.first_block + b;
    typename Dot::Sum dot[T][kVectors];
    for (int t = 0; t < T; ++t) {
      for (int v = 0; v < kVectors; ++v) dot[t][v] = Dot::zero();
    }
    for (int j = 0; j < 8; ++j) {
      typename V::B weights[kVectors];
      for (int v = 0; v < kVectors; ++v)
        weights[v] = V::load_b(panel.bytes[b][j] + v * V::kLanes * 4);
      for (int t = 0; t < T; ++t) {
        const typename V::B four = V::broadcast4(x[t].values + block * 32 + 4 * j);
        for (int v = 0; v < kVectors; ++v) dot[t][v] = Dot::dot(dot[t][v], weights[v], four);
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      const typename V::F d = V::load(panel.d[b] + v * V::kLanes);
      const typename V::F offset = V::load(panel.offset[b] + v * V::kLanes);
      for (int t = 0; t < T; ++t) {
        sum[t][v] =
            add_block<V, Format>(sum[t][v], Dot::finish(dot[t][v]), d, offset,
                                 V::set1(x[t].scales[block]), V::set1(x[t].scale_sums[block]));
      }
    }
  }
  for (int t = 0; t < T; ++t) {
    float* out = args.out + (token + t) * args.out_stride + span.first_row;
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t lane = v * V::kLanes;
      V::store_n(out + lane, sum[t][v], larger(span.rows - lane, 0));
    }
  }
}

// The last n < T + 1 tokens, n from T down to 1.
template <class V, class Format, int T>
inline void panel_last_tokens(const MatMulArgs& args, const Panel<V>& panel, const PanelSpan& span,
                              std::int64_t token, std::int64_t n) {
  if constexpr (T > 0) {
    if (n == T) {
      panel_tokens<V, Format, T>(args, panel, span, token);
    } else {
      panel_last_tokens<V, Format, T - 1>(args, panel, span, token, n);
    }
  }
}

template <class V, class Format>
void matmul_q8(const MatMulArgs& args, WorkRange range) {
  if (args.n_tokens == 1) return gemv_q8<V, Format>(args, range);
  Panel<V> panel;
  constexpr int kRows = Panel<V>::kRows, kTokens = V::kTileTokens;
  const std::int64_t blocks = q8_blocks(args.n_in);
  for (std::int64_t row = range.begin; row < range.end; row += kRows) {
    const std::uint8_t* rows[kRows];
    row_pointers<kRows>(args, row, range.end, rows);
    for (std::int64_t block = 0; block < blocks; block += kPanelBlocks) {
      const PanelSpan span = {block, smaller(kPanelBlocks, blocks - block), row,
                              smaller(kRows, range.end - row), args.accumulate || block > 0};
      fill_panel<V, Format>(&panel, rows, span.first_block, span.blocks, args.row_bytes);
      std::int64_t t = 0;
      for (; t + kTokens <= args.n_tokens; t += kTokens) {
        panel_tokens<V, Format, kTokens>(args, panel, span, t);
      }
      panel_last_tokens<V, Format, kTokens - 1>(args, panel, span, t, args.n_tokens - t);
    }
  }
}

}  // namespace
}  // namespace windlass

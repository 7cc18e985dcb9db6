// Matmul of quantised weights with q8 activations: integer dot products a group of weights at a
// time (those that share a scale, 32 or 16), scaled to float. For inclusion by isa_*.cpp alone.
//
// Lanes are weight rows: the bytes of kLanes rows are transposed by groups of four, so that one
// byte-dot instruction adds four products to each row's sum and one multiply-add scales a group of
// every row. With one token the transposed bytes are used from registers (gemv); with more they go
// to a panel in L1 that serves all tokens. A (row, token) pair sees the same float operations in
// the same order either way: group by group, acc += (d * dot) * scale + offset * scale_sum, where
// weight = d * q + offset and dot = sum of q * activation, exact in integers. So one token or many,
// and any split of the rows, give bit-identical results.
#pragma once

#include <cstdint>

#include "cpu_kernels/common_inl.h"
#include "cpu_kernels/formats_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

// How codes are multiplied; what follows depends on a type through this alone.
template <Codes kCodes_, int kScaleWeights_>
struct Q8Kind {
  static constexpr Codes kCodes = kCodes_;
  static constexpr int kGroups = 32 / kScaleWeights_;  // in a block
  static constexpr int kGroupSteps = 8 / kGroups;      // of four weights
};

template <DType kType>
using Q8KindOf = Q8Kind<Format<kType>::kCodes, Format<kType>::kScaleWeights>;

// Whether weight = d * q + offset has an offset, and the integer sums of one group.
template <class V, class Kind>
inline constexpr bool kHasOffset = Kind::kCodes != Codes::kSigned8 || V::kZeroPoint8 != 0;

template <class V, Codes kCodes>
struct GroupDot {
  using Sum = typename V::I;
  static Sum zero() { return V::zero_i(); }
  static Sum dot(Sum sum, typename V::B weights, typename V::B acts) {
    if constexpr (kCodes == Codes::kSigned8) return V::dot8(sum, weights, acts);
    if constexpr (kCodes == Codes::kUnsigned7) return V::dot7(sum, weights, acts);
  }
  static typename V::I finish(Sum sum) { return sum; }
};

template <class V>
struct GroupDot<V, Codes::kUnsigned4> {
  using Sum = typename V::Acc4;
  static Sum zero() { return V::zero_acc4(); }
  static Sum dot(Sum sum, typename V::B weights, typename V::B acts) {
    return V::dot4(sum, weights, acts);
  }
  static typename V::I finish(Sum sum) { return V::finish4(sum); }
};

// A type's codes as the dots take them, and what that adds to the offsets.
template <class V, DType kType>
inline void load_steps(const std::uint8_t* const* rows, std::int64_t at, int part,
                       typename V::B* steps) {
  Format<kType>::template load_codes<V>(rows, at, part, steps);
  if constexpr (Format<kType>::kCodes == Codes::kSigned8) {
    for (int j = 0; j < 8 * Format<kType>::kPartBlocks; ++j) steps[j] = V::prepare8(steps[j]);
  }
}

template <DType kType>
inline constexpr int kScalesOf =
    static_cast<int>(Format<kType>::kBlockWeights) / Format<kType>::kScaleWeights;

template <class V, DType kType>
inline void load_all_scales(const std::uint8_t* const* rows, std::int64_t at, typename V::F* d,
                            typename V::F* offset) {
  Format<kType>::template load_scales<V>(rows, at, d, offset);
  if constexpr (Format<kType>::kCodes == Codes::kSigned8 && V::kZeroPoint8 != 0) {
    const typename V::F zero_point = V::set1(static_cast<float>(-V::kZeroPoint8));
    for (int g = 0; g < kScalesOf<kType>; ++g) offset[g] = V::mul(d[g], zero_point);
  }
}

template <class V, class Kind>
inline typename V::F add_group(typename V::F sum, typename V::I dot, typename V::F d,
                               typename V::F offset, typename V::F scale, typename V::F scale_sum) {
  sum = V::fma(V::mul(V::to_f32(dot), d), scale, sum);
  if constexpr (kHasOffset<V, Kind>) sum = V::fma(offset, scale_sum, sum);
  return sum;
}

// One row of q8 activations (op_args.h).
struct Q8Row {
  const std::int8_t* values;
  const float* scales;
  const float* scale_sums;
  const float* half_sums;
  // scale * sum of the activations of one group.
  template <class Kind>
  float group_sum(std::int64_t block, int group) const {
    return Kind::kGroups == 1 ? scale_sums[block] : half_sums[2 * block + group];
  }
};

inline Q8Row q8_row(const MatMulArgs& args, std::int64_t token) {
  const std::int64_t stride =
      args.x_stride_bytes > 0 ? args.x_stride_bytes : q8_row_bytes(args.n_in);
  const std::byte* row = static_cast<const std::byte*>(args.x) + token * stride;
  const float* scales = reinterpret_cast<const float*>(row + q8_values_bytes(args.n_in));
  const std::int64_t slots = q8_scales_bytes(args.n_in) / 4;
  return {reinterpret_cast<const std::int8_t*>(row), scales, scales + slots, scales + 2 * slots};
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

// Prefetches for the kBlockBytes from `offset`, of the block with that index: once a cache line.
template <int N, std::int64_t kBlockBytes>
inline void prefetch_block(const std::uint8_t* const* rows, std::int64_t index,
                           std::int64_t row_bytes) {
  constexpr std::int64_t kBlocksPerLine = larger(64 / kBlockBytes, 1);
  if (index % kBlocksPerLine != 0) return;
  for (std::int64_t line = 0; line < kBlockBytes * kBlocksPerLine; line += 64) {
    prefetch_rows<N>(rows, index * kBlockBytes + line, row_bytes);
  }
}

// Inlined by force from here down to the loads: out of line, vectors pass through memory and Q4_0
// loses a third of its speed.
// One q8 block of kLanes rows and one token. Two chains of sums hide the latency of the dots.
template <class V, class Kind>
[[gnu::always_inline]] inline typename V::F gemv_block(const typename V::B* steps,
                                                       const typename V::F* d,
                                                       const typename V::F* offset, const Q8Row& x,
                                                       std::int64_t block, typename V::F sum) {
  using Dot = GroupDot<V, Kind::kCodes>;
  for (int g = 0; g < Kind::kGroups; ++g) {
    typename Dot::Sum even = Dot::zero(), odd = Dot::zero();
    for (int j = g * Kind::kGroupSteps; j < (g + 1) * Kind::kGroupSteps; j += 2) {
      const std::int8_t* four = x.values + block * 32 + 4 * j;
      even = Dot::dot(even, steps[j], V::broadcast4(four));
      odd = Dot::dot(odd, steps[j + 1], V::broadcast4(four + 4));
    }
    const typename V::I dot = V::add_i(Dot::finish(even), Dot::finish(odd));
    sum = add_group<V, Kind>(sum, dot, d[g], offset[g], V::set1(x.scales[block]),
                             V::set1(x.template group_sum<Kind>(block, g)));
  }
  return sum;
}

template <class V, DType kType>
[[gnu::always_inline]] inline typename V::F gemv_rows(const std::uint8_t* const* rows,
                                                      const Q8Row& x, std::int64_t blocks,
                                                      std::int64_t row_bytes, typename V::F sum) {
  using Type = Format<kType>;
  using Kind = Q8KindOf<kType>;
  constexpr int kParts = static_cast<int>(Type::kBlockWeights) / 32 / Type::kPartBlocks;
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t at = i * Type::kBlockBytes;
    prefetch_block<V::kLanes, Type::kBlockBytes>(rows, i, row_bytes);
    typename V::F d[kScalesOf<kType>], offset[kScalesOf<kType>] = {};
    load_all_scales<V, kType>(rows, at, d, offset);
    for (int part = 0; part < kParts; ++part) {
      typename V::B steps[8 * Type::kPartBlocks];
      load_steps<V, kType>(rows, at, part, steps);
      for (int b = 0; b < Type::kPartBlocks; ++b) {
        const int block = part * Type::kPartBlocks + b;
        sum = gemv_block<V, Kind>(steps + 8 * b, d + block * Kind::kGroups,
                                  offset + block * Kind::kGroups, x,
                                  i * (Type::kBlockWeights / 32) + block, sum);
      }
    }
  }
  return sum;
}

template <class V, DType kType>
void gemv_q8(const MatMulArgs& args, WorkRange range) {
  const Q8Row x = q8_row(args, 0);
  for (std::int64_t row = range.begin; row < range.end; row += V::kLanes) {
    const std::uint8_t* rows[V::kLanes];
    row_pointers<V::kLanes>(args, row, range.end, rows);
    const std::int64_t n = range.end - row;
    const typename V::F start = args.accumulate ? V::load_n(args.out + row, n) : V::zero();
    V::store_n(args.out + row,
               gemv_rows<V, kType>(rows, x, args.n_in / Format<kType>::kBlockWeights,
                                   args.row_bytes, start),
               n);
  }
}

// 16 blocks (512 columns) of kRowVectors * kLanes rows: 16 KiB of bytes and 4 KiB of scales with 16
// lanes, which stay in a 32 KiB L1 beside the 3 KiB of the tokens at hand.
inline constexpr std::int64_t kPanelBlocks = 16;

template <class V, class Kind>
struct Panel {
  static constexpr int kRows = V::kRowVectors * V::kLanes;
  alignas(64) std::uint8_t bytes[kPanelBlocks][8][kRows * 4];
  alignas(64) float d[kPanelBlocks][Kind::kGroups][kRows];
  alignas(64) float offset[kPanelBlocks][Kind::kGroups][kRows];
};

// One vector of rows of one type's block, which is the panel's q8 blocks from `first` on.
template <class V, DType kType>
inline void fill_panel_block(Panel<V, Q8KindOf<kType>>* panel, const std::uint8_t* const* rows,
                             std::int64_t at, std::int64_t first, int lane) {
  using Type = Format<kType>;
  constexpr int kBlocks = static_cast<int>(Type::kBlockWeights) / 32;
  constexpr int kGroups = Q8KindOf<kType>::kGroups;
  typename V::F d[kScalesOf<kType>], offset[kScalesOf<kType>] = {};
  load_all_scales<V, kType>(rows + lane, at, d, offset);
  for (int g = 0; g < kScalesOf<kType>; ++g) {
    V::store(panel->d[first + g / kGroups][g % kGroups] + lane, d[g]);
    V::store(panel->offset[first + g / kGroups][g % kGroups] + lane, offset[g]);
  }
  for (int part = 0; part < kBlocks / Type::kPartBlocks; ++part) {
    typename V::B steps[8 * Type::kPartBlocks];
    load_steps<V, kType>(rows + lane, at, part, steps);
    for (int j = 0; j < 8 * Type::kPartBlocks; ++j) {
      V::store_b(panel->bytes[first + part * Type::kPartBlocks + j / 8][j % 8] + lane * 4,
                 steps[j]);
    }
  }
}

template <class V, DType kType>
inline void fill_panel(Panel<V, Q8KindOf<kType>>* panel, const std::uint8_t* const* rows,
                       std::int64_t first_block, std::int64_t blocks, std::int64_t row_bytes) {
  using Type = Format<kType>;
  constexpr std::int64_t kBlocks = Type::kBlockWeights / 32;
  for (std::int64_t b = 0; b < blocks; b += kBlocks) {
    const std::int64_t index = (first_block + b) / kBlocks;
    prefetch_block<Panel<V, Q8KindOf<kType>>::kRows, Type::kBlockBytes>(rows, index, row_bytes);
    for (int v = 0; v < V::kRowVectors; ++v) {
      fill_panel_block<V, kType>(panel, rows, index * Type::kBlockBytes, b, v * V::kLanes);
    }
  }
}

struct PanelSpan {
  std::int64_t first_block, blocks;
  std::int64_t first_row, rows;  // rows <= Panel::kRows
  bool add;                      // to what `out` holds
};

// out of T tokens from `token` on (+)= panel times their blocks.
template <class V, class Kind, int T>
void panel_tokens(const MatMulArgs& args, const Panel<V, Kind>& panel, const PanelSpan& span,
                  std::int64_t token) {
  using Dot = GroupDot<V, Kind::kCodes>;
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
    for (int g = 0; g < Kind::kGroups; ++g) {
      typename Dot::Sum dot[T][kVectors];
      for (int t = 0; t < T; ++t) {
        for (int v = 0; v < kVectors; ++v) dot[t][v] = Dot::zero();
      }
      for (int j = g * Kind::kGroupSteps; j < (g + 1) * Kind::kGroupSteps; ++j) {
        typename V::B weights[kVectors];
        for (int v = 0; v < kVectors; ++v)
          weights[v] = V::load_b(panel.bytes[b][j] + v * V::kLanes * 4);
        for (int t = 0; t < T; ++t) {
          const typename V::B four = V::broadcast4(x[t].values + block * 32 + 4 * j);
          for (int v = 0; v < kVectors; ++v) dot[t][v] = Dot::dot(dot[t][v], weights[v], four);
        }
      }
      for (int v = 0; v < kVectors; ++v) {
        const typename V::F d = V::load(panel.d[b][g] + v * V::kLanes);
        const typename V::F offset = V::load(panel.offset[b][g] + v * V::kLanes);
        for (int t = 0; t < T; ++t) {
          sum[t][v] = add_group<V, Kind>(sum[t][v], Dot::finish(dot[t][v]), d, offset,
                                         V::set1(x[t].scales[block]),
                                         V::set1(x[t].template group_sum<Kind>(block, g)));
        }
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
template <class V, class Kind, int T>
inline void panel_last_tokens(const MatMulArgs& args, const Panel<V, Kind>& panel,
                              const PanelSpan& span, std::int64_t token, std::int64_t n) {
  if constexpr (T > 0) {
    if (n == T) {
      panel_tokens<V, Kind, T>(args, panel, span, token);
    } else {
      panel_last_tokens<V, Kind, T - 1>(args, panel, span, token, n);
    }
  }
}

template <class V, class Kind>
void panel_all_tokens(const MatMulArgs& args, const Panel<V, Kind>& panel, const PanelSpan& span) {
  constexpr int kTokens = V::kTileTokens;
  std::int64_t t = 0;
  for (; t + kTokens <= args.n_tokens; t += kTokens) {
    panel_tokens<V, Kind, kTokens>(args, panel, span, t);
  }
  panel_last_tokens<V, Kind, kTokens - 1>(args, panel, span, t, args.n_tokens - t);
}

template <class V, DType kType>
void matmul_q8(const MatMulArgs& args, WorkRange range) {
  using Kind = Q8KindOf<kType>;
  if (args.n_tokens == 1) return gemv_q8<V, kType>(args, range);
  Panel<V, Kind> panel;
  constexpr int kRows = Panel<V, Kind>::kRows;
  const std::int64_t blocks = q8_blocks(args.n_in);
  for (std::int64_t row = range.begin; row < range.end; row += kRows) {
    const std::uint8_t* rows[kRows];
    row_pointers<kRows>(args, row, range.end, rows);
    for (std::int64_t block = 0; block < blocks; block += kPanelBlocks) {
      const PanelSpan span = {block, smaller(kPanelBlocks, blocks - block), row,
                              smaller(kRows, range.end - row), args.accumulate || block > 0};
      fill_panel<V, kType>(&panel, rows, span.first_block, span.blocks, args.row_bytes);
      panel_all_tokens<V, Kind>(args, panel, span);
    }
  }
}

}  // namespace
}  // namespace windlass

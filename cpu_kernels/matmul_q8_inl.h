// Matmul of quantised weights with q8 activations. A few tokens take the thin path
// (matmul_q8_thin_inl.h); for more, weights are unpacked to a panel in L1 that serves all tokens.
// q8_dot_inl.h has the operations that both make. For inclusion by isa_*.cpp alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/matmul_q8_thin_inl.h"
#include "cpu_kernels/q8_dot_inl.h"

namespace windlass {
namespace {

// 16 blocks (512 columns) of kRowVectors * kLanes rows: 16 KiB of bytes and 4 KiB of scales with 16
// lanes (and as much again for each of the two arrays beside), which stay in L1 beside the 6 KiB of
// the tokens at hand. A few blocks more do too.
inline constexpr std::int64_t kPanelBlocks = 16, kMostPanelBlocks = 20;

template <class V, class Kind>
struct Panel {
  static constexpr int kRows = V::kRowVectors * V::kLanes;
  alignas(64) std::uint8_t bytes[kMostPanelBlocks][8][kRows * 4];
  alignas(64) float d[kMostPanelBlocks][Kind::kGroups][kRows];
  alignas(64) float minus[kMostPanelBlocks][Kind::kGroups][kRows];  // minus_magic(d)
  alignas(64) float offset[Kind::kHasOffset ? kMostPanelBlocks : 1][Kind::kGroups][kRows];
};

// One vector of rows of one type's block, which is the panel's q8 blocks from `first` on.
template <class V, DType kType, class Kind>
inline void fill_panel_block(Panel<V, Kind>* panel, const std::uint8_t* const* rows,
                             std::int64_t at, std::int64_t first, int lane) {
  using Type = Format<kType>;
  constexpr int kBlocks = static_cast<int>(Type::kBlockWeights) / 32;
  constexpr int kGroups = Kind::kGroups;
  typename V::F d[kScalesOf<kType>], offset[kScalesOf<kType>];
  load_scales<V, kType>(rows + lane, at, d, offset);
  // Unrolled by order here and below: g++ 12 leaves loops of 16 and more, and their counters
  // spilled.
#pragma GCC unroll 16
  for (int s = 0; s < kScalesOf<kType>; ++s) {
    const std::int64_t b = first + s / kGroups;
    V::store(panel->d[b][s % kGroups] + lane, d[s]);
    V::store(panel->minus[b][s % kGroups] + lane, minus_magic<V>(d[s]));
    if constexpr (Kind::kHasOffset) V::store(panel->offset[b][s % kGroups] + lane, offset[s]);
  }
  for (int part = 0; part < kBlocks / Type::kPartBlocks; ++part) {
    typename V::B steps[8 * Type::kPartBlocks];
    load_steps<V, kType>(rows + lane, at, part, steps);
#pragma GCC unroll 32
    for (int j = 0; j < 8 * Type::kPartBlocks; ++j) {
      V::store_b(panel->bytes[first + part * Type::kPartBlocks + j / 8][j % 8] + lane * 4,
                 steps[j]);
    }
  }
}

// Some rows of weights and some of their q8 blocks.
struct PanelSpan {
  std::int64_t first_block, blocks;
  std::int64_t first_row, rows;  // rows <= Panel::kRows
  bool add;                      // to what `out` holds
};

template <class V, DType kType, class Kind>
inline void fill_panel(Panel<V, Kind>* panel, const MatMulArgs& args, const PanelSpan& span) {
  using Type = Format<kType>;
  constexpr std::int64_t kBlocks = Type::kBlockWeights / 32;
  const std::uint8_t* rows[Panel<V, Kind>::kRows];
  row_pointers<Panel<V, Kind>::kRows>(args, span.first_row, 1, span.first_row + span.rows, rows);
  for (std::int64_t b = 0; b < span.blocks; b += kBlocks) {
    const std::int64_t index = (span.first_block + b) / kBlocks;
    for (int v = 0; v < V::kRowVectors; ++v) {
      fill_panel_block<V, kType, Kind>(panel, rows, index * Type::kBlockBytes, b, v * V::kLanes);
    }
  }
}

// The cache lines of a span of weights, asked for a few at a time while another span is computed:
// all at once they would take every buffer that loads which miss L1 wait in.
class SpanPrefetch {
 public:
  // To be spread over `steps` calls of step().
  template <DType kType>
  static SpanPrefetch of(const MatMulArgs& args, const PanelSpan& span, std::int64_t steps) {
    using Type = Format<kType>;
    SpanPrefetch lines;
    lines.row_ = reinterpret_cast<const char*>(args.weights) + span.first_row * args.row_bytes +
                 span.first_block * 32 / Type::kBlockWeights * Type::kBlockBytes;
    lines.row_bytes_ = args.row_bytes;
    lines.at_ = lines.first_line();
    lines.bytes_ = span.blocks * 32 / Type::kBlockWeights * Type::kBlockBytes;
    lines.rows_ = lines.bytes_ > 0 ? span.rows : 0;  // not after the last span
    lines.per_step_ = (lines.rows_ * (lines.bytes_ / 64 + 2) + steps - 1) / steps;
    return lines;
  }
  [[gnu::always_inline]] void step() {
    for (std::int64_t i = 0; i < per_step_ && rows_ > 0; ++i) {
      __builtin_prefetch(row_ + at_);
      at_ += 64;
      if (at_ < bytes_) continue;
      row_ += row_bytes_;
      at_ = first_line();
      --rows_;
    }
  }

 private:
  // Of the row, from where it begins: 0 or less.
  std::int64_t first_line() const {
    return -static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(row_) % 64);
  }

  const char* row_;
  std::int64_t row_bytes_, bytes_, rows_, per_step_, at_;
};

// Asks for the sums that the next T tokens go on from: from beyond L2 they would hold up a tile of
// 0.4 us for 0.1 us.
template <class V, int T>
inline void prefetch_sums(const MatMulArgs& args, const PanelSpan& span, std::int64_t token) {
  for (std::int64_t t = token; t < smaller(token + T, args.n_tokens); ++t) {
    const float* out = args.out + t * args.out_stride + span.first_row;
    for (int v = 0; v < V::kRowVectors; ++v) __builtin_prefetch(out + v * V::kLanes, 1);
  }
}

// Whether interleaved tokens come here; where all of them take the thin path, a stride that is
// known saves a tenth of the time.
template <class V>
inline constexpr bool kInterleavedPanels = smaller(V::kChoice.thin_tokens,
                                                   V::kChoice.thin_tokens_halves) < kInterleavedTo;

// out of T tokens from `token` on (+)= panel times their blocks.
template <class V, class Kind, int T>
void panel_tokens(const MatMulArgs& args, const Panel<V, Kind>& panel, const PanelSpan& span,
                  std::int64_t token, SpanPrefetch* next) {
  using Dot = GroupDot<V, Kind::kCodes>;
  constexpr int kVectors = V::kRowVectors;
  typename V::F sum[T][kVectors];
  const Q8Block* x[T];
  const std::int64_t stride = kInterleavedPanels<V> ? q8_block_stride(args) : 1;
  prefetch_sums<V, T>(args, span, token + T);
  for (int t = 0; t < T; ++t) {
    x[t] = q8_row(args, token + t) + span.first_block * stride;
    const float* out = args.out + (token + t) * args.out_stride + span.first_row;
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t lane = v * V::kLanes;
      sum[t][v] = span.add ? V::load_n(out + lane, larger(span.rows - lane, 0)) : V::zero();
    }
  }
  for (std::int64_t b = 0; b < span.blocks; ++b) {
    next->step();
    for (int g = 0; g < Kind::kGroups; ++g) {
      typename Dot::Sum dot[T][kVectors];
      for (int t = 0; t < T; ++t) {
        const typename V::I start = V::set1_i(group_start<Kind>(x[t][b * stride], g));
        for (int v = 0; v < kVectors; ++v) dot[t][v] = Dot::begin(start);
      }
      for (int j = g * Kind::kGroupSteps; j < (g + 1) * Kind::kGroupSteps; ++j) {
        typename V::B weights[kVectors];
        for (int v = 0; v < kVectors; ++v)
          weights[v] = V::load_b(panel.bytes[b][j] + v * V::kLanes * 4);
        for (int t = 0; t < T; ++t) {
          const typename V::B four = V::broadcast4(x[t][b * stride].values + 4 * j);
          for (int v = 0; v < kVectors; ++v) dot[t][v] = Dot::dot(dot[t][v], weights[v], four);
        }
      }
      for (int v = 0; v < kVectors; ++v) {
        const std::int64_t lane = v * V::kLanes;
        const typename V::F d = V::load(panel.d[b][g] + lane);
        const typename V::F minus = V::load(panel.minus[b][g] + lane);
        typename V::F offset = V::zero();
        if constexpr (Kind::kHasOffset) offset = V::load(panel.offset[b][g] + lane);
        for (int t = 0; t < T; ++t) {
          const typename V::I start = V::set1_i(group_start<Kind>(x[t][b * stride], g));
          sum[t][v] = add_group<V, Kind>(sum[t][v], Dot::finish(dot[t][v], start), d, minus, offset,
                                         x[t][b * stride], g);
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
                              const PanelSpan& span, std::int64_t token, std::int64_t n,
                              SpanPrefetch* next) {
  if constexpr (T > 0) {
    if (n == T) {
      panel_tokens<V, Kind, T>(args, panel, span, token, next);
    } else {
      panel_last_tokens<V, Kind, T - 1>(args, panel, span, token, n, next);
    }
  }
}

// All tokens, and meanwhile prefetches for the panel that is filled next.
template <class V, DType kType, class Kind>
void panel_all_tokens(const MatMulArgs& args, const Panel<V, Kind>& panel, const PanelSpan& span,
                      const PanelSpan& next) {
  constexpr int kTokens = V::kTileTokens;
  const std::int64_t tiles = (args.n_tokens + kTokens - 1) / kTokens;
  SpanPrefetch lines = SpanPrefetch::of<kType>(args, next, tiles * span.blocks);
  std::int64_t t = 0;
  for (; t + kTokens <= args.n_tokens; t += kTokens) {
    panel_tokens<V, Kind, kTokens>(args, panel, span, t, &lines);
  }
  panel_last_tokens<V, Kind, kTokens - 1>(args, panel, span, t, args.n_tokens - t, &lines);
}

// Blocks of each panel of rows of so many: equal shares, for each panel begins and ends with the
// sums of all tokens, whatever its width. Types of large blocks come in multiples of these.
template <DType kType>
constexpr std::int64_t panel_blocks(std::int64_t blocks) {
  constexpr std::int64_t kWhole = larger(Format<kType>::kBlockWeights / 32, 1);
  if (kMostPanelBlocks % kWhole != 0) return kPanelBlocks;
  const std::int64_t panels = larger((blocks + kPanelBlocks / 2) / kPanelBlocks,
                                     (blocks + kMostPanelBlocks - 1) / kMostPanelBlocks);
  return round_up((blocks + panels - 1) / panels, kWhole);
}

// The panels of some rows in the order in which they are computed. Activations that are too many
// for L2 are taken 512 columns at a time (512 KiB of 512 tokens), which stay there for all rows;
// few ones stay as they are, and weights come as they lie in memory.
struct PanelOrder {
  WorkRange rows;
  std::int64_t blocks, panel_blocks, panel_rows;
  bool columns_first, accumulate;

  PanelSpan at(std::int64_t block, std::int64_t row) const {
    return {block, smaller(panel_blocks, blocks - block), row, smaller(panel_rows, rows.end - row),
            accumulate || block > 0};
  }
  // After the last one: no blocks or no rows.
  PanelSpan after(const PanelSpan& span) const {
    const std::int64_t block = span.first_block + panel_blocks, row = span.first_row + panel_rows;
    if (columns_first) return block < blocks ? at(block, span.first_row) : at(0, row);
    return row < rows.end ? at(span.first_block, row) : at(block, rows.begin);
  }
};

template <class V, DType kType>
void panel_matmul_q8(const MatMulArgs& args, WorkRange range) {
  using Kind = StepKindOf<V, kType>;
  constexpr std::int64_t kCacheBytes = 512 << 10;
  Panel<V, Kind> panel;
  const std::int64_t blocks = q8_blocks(args.n_in);
  const PanelOrder order = {range,
                            blocks,
                            panel_blocks<kType>(blocks),
                            Panel<V, Kind>::kRows,
                            args.n_tokens * q8_row_bytes(args.n_in) <= kCacheBytes,
                            args.accumulate};
  PanelSpan span = order.at(0, range.begin);
  SpanPrefetch::of<kType>(args, span, 1).step();
  while (span.blocks > 0 && span.rows > 0) {
    const PanelSpan next = order.after(span);
    fill_panel<V, kType>(&panel, args, span);
    panel_all_tokens<V, kType, Kind>(args, panel, span, next);
    span = next;
  }
}

template <class V, DType kType>
void matmul_q8(const MatMulArgs& args, WorkRange range) {
  constexpr int kMost = kThinTokens<V, kType>;
  const bool thin = kMost >= kInterleavedFrom || q8_block_stride(args) == 1;
  if (args.n_tokens > kMost || !thin) return panel_matmul_q8<V, kType>(args, range);
  thin_matmul_q8<V, kType, kMost>(args, range);
}

}  // namespace
}  // namespace windlass

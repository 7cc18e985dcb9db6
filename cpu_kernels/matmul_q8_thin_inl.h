// Products of quantised weights with the q8 activations of one or a few tokens: bound by memory,
// so weights go from their rows to registers and serve all T tokens from there. For inclusion by
// isa_*.cpp alone.
//
// Lanes are weight rows: the bytes of kLanes rows are transposed by groups of four, so that one
// byte-dot instruction adds four products to each row's sum and one multiply-add scales a group of
// every row.
#pragma once

#include <cstdint>

#include "cpu_kernels/q8_dot_inl.h"

namespace windlass {
namespace {

// How many rows each lane walks through, one after the other, of those that are left: lane l begins
// at row l * that. Sixteen walks through neighbouring rows of 1 to 3 KiB would meet in a few pages,
// where a core's prefetcher follows one: 16.5 instead of 22 GB/s. Walks that lie whole pages apart
// would fall into the same lines of L1, so those are made shorter.
template <int N>
inline std::int64_t walk_rows(std::int64_t rows, std::int64_t row_bytes) {
  constexpr std::int64_t kPage = 4096, kNear = 256;
  std::int64_t walk = (rows + N - 1) / N;
  const auto aliased = [&](std::int64_t n) { return (n * row_bytes + kNear) % kPage <= 2 * kNear; };
  for (std::int64_t n = walk; n > walk / 2; --n) {
    if (!aliased(n)) return n;
  }
  return walk;
}

// Asks for what each of N lanes reads `kPrefetchBytes` later, once for each cache line of a block.
inline constexpr std::int64_t kPrefetchBytes = 256;
template <int N, std::int64_t kBlockBytes>
[[gnu::always_inline]] inline void prefetch_block(const std::uint8_t* const* rows,
                                                  std::int64_t index) {
  constexpr std::int64_t kBlocksPerLine = larger(64 / kBlockBytes, 1);
  if (index % kBlocksPerLine != 0) return;
  for (std::int64_t line = 0; line < kBlockBytes * kBlocksPerLine; line += 64) {
    for (int r = 0; r < N; ++r) {
      __builtin_prefetch(rows[r] + index * kBlockBytes + line + kPrefetchBytes);
    }
  }
}

// Inlined by force from here down to the loads: out of line, vectors pass through memory and Q4_0
// loses a third of its speed.
// One group of kLanes rows and one token: two chains of sums where few tokens' dots leave their
// latency to be hidden.
template <class V, class Kind, int kChains>
[[gnu::always_inline]] inline typename V::I group_dot(const typename V::B* steps, const Q8Block& x,
                                                      int group) {
  using Dot = GroupDot<V, Kind::kCodes>;
  const typename V::I start = V::set1_i(group_start<Kind>(x, group)), zero = V::zero_i();
  typename Dot::Sum sums[2] = {Dot::begin(start), Dot::begin(zero)};
  const int first = group * Kind::kGroupSteps;
  for (int j = 0; j < Kind::kGroupSteps; ++j) {
    typename Dot::Sum& sum = sums[j % kChains];
    sum = Dot::dot_at(sum, steps[first + j], x.values + 4 * (first + j));
  }
  if constexpr (kChains == 1) return Dot::finish(sums[0], start);
  return V::add_i(Dot::finish(sums[0], start), Dot::finish(sums[1], zero));
}

// Blocks of one weight row's worth of T tokens.
template <class V, DType kType, int T>
[[gnu::always_inline]] inline void thin_rows(const std::uint8_t* const* rows,
                                             const Q8Block* const* x, std::int64_t blocks,
                                             typename V::F* sum) {
  using Type = Format<kType>;
  using Kind = StepKindOf<V, kType>;
  constexpr int kBlocks = static_cast<int>(Type::kBlockWeights) / 32;
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t at = i * Type::kBlockBytes;
    prefetch_block<V::kLanes, Type::kBlockBytes>(rows, i);
    typename V::F d[kScalesOf<kType>], offset[kScalesOf<kType>];
    load_scales<V, kType>(rows, at, d, offset);
    for (int part = 0; part < kBlocks / Type::kPartBlocks; ++part) {
      typename V::B steps[8 * Type::kPartBlocks];
      load_steps<V, kType>(rows, at, part, steps);
      for (int b = 0; b < Type::kPartBlocks; ++b) {
        const int block = part * Type::kPartBlocks + b;
        for (int g = 0; g < Kind::kGroups; ++g) {
          const int s = block * Kind::kGroups + g;
          const typename V::F minus = minus_magic<V>(d[s]);
          for (int t = 0; t < T; ++t) {
            const Q8Block& at_block = x[t][i * kBlocks + block];
            const typename V::I dot =
                group_dot<V, Kind, (T > 2 ? 1 : 2)>(steps + 8 * b, at_block, g);
            sum[t] = add_group<V, Kind>(sum[t], dot, d[s], minus, offset[s], at_block, g);
          }
        }
      }
    }
  }
}

// The outputs of one row of each lane's walk, `walk` floats apart; the last lanes may be past the
// last row.
template <class V>
inline typename V::F load_walk(const float* out, std::int64_t n, std::int64_t walk) {
  if (walk == 1) return V::load_n(out, n);
  alignas(64) float lanes[V::kLanes] = {};
  for (std::int64_t r = 0; r < n; ++r) lanes[r] = out[r * walk];
  return V::load(lanes);
}
template <class V>
inline void store_walk(float* out, std::int64_t n, std::int64_t walk, typename V::F sum) {
  if (walk == 1) return V::store_n(out, sum, n);
  alignas(64) float lanes[V::kLanes];
  V::store(lanes, sum);
  for (std::int64_t r = 0; r < n; ++r) out[r * walk] = lanes[r];
}

// Row `step` of each lane's walk through `rows`, for all tokens.
template <class V, DType kType, int T>
void thin_step(const MatMulArgs& args, const Q8Block* const* x, WorkRange rows, std::int64_t walk,
               std::int64_t step) {
  const std::uint8_t* pointers[V::kLanes];
  row_pointers<V::kLanes>(args, rows.begin + step, walk, rows.end, pointers);
  const std::int64_t n =
      smaller((rows.end - rows.begin - step + walk - 1) / walk, std::int64_t{V::kLanes});
  float* out = args.out + rows.begin + step;
  typename V::F sum[T];
  for (int t = 0; t < T; ++t) {
    const bool add = args.accumulate && t < args.n_tokens;
    sum[t] = add ? load_walk<V>(out + t * args.out_stride, n, walk) : V::zero();
  }
  thin_rows<V, kType, T>(pointers, x, args.n_in / Format<kType>::kBlockWeights, sum);
  for (int t = 0; t < T; ++t) {
    if (t < args.n_tokens) store_walk<V>(out + t * args.out_stride, n, walk, sum[t]);
  }
}

inline constexpr std::int64_t kShortRow = 1024;
// REQUIRES args.n_tokens <= T. Tokens past the last repeat it, and their results are dropped.
template <class V, DType kType, int T>
void thin_tokens(const MatMulArgs& args, WorkRange range) {
  const Q8Block* x[T];
  for (int t = 0; t < T; ++t) x[t] = q8_row(args, smaller(t, args.n_tokens - 1));
  while (range.begin < range.end) {
    // Of short rows, putting the results of many tokens in their places one by one would cost more.
    const std::int64_t walk = T > 4 && args.row_bytes < kShortRow
                                  ? 1
                                  : walk_rows<V::kLanes>(range.end - range.begin, args.row_bytes);
    const WorkRange rows = {range.begin, smaller(range.begin + walk * V::kLanes, range.end)};
    for (std::int64_t step = 0; step < walk; ++step) {
      thin_step<V, kType, T>(args, x, rows, walk, step);
    }
    range.begin = rows.end;
  }
}

template <class V, DType kType>
inline constexpr int kThinTokens =
    Q8KindOf<V, kType>::kGroups == 1 ? V::kChoice.thin_tokens : V::kChoice.thin_tokens_halves;

// As many tokens at once as there are, 5 and 7 rounded up, to compile fewer.
template <class V, DType kType, int kMost>
void thin_matmul_q8(const MatMulArgs& args, WorkRange range) {
  if constexpr (kMost > 1) {
    constexpr int kFewer = kMost > 4 ? kMost - 2 : kMost - 1;
    if (args.n_tokens <= kFewer) return thin_matmul_q8<V, kType, kFewer>(args, range);
  }
  thin_tokens<V, kType, kMost>(args, range);
}

}  // namespace
}  // namespace windlass

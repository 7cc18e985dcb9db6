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

// Prefetches for the kBlockBytes from `offset`, of the block with that index: once a cache line. Of
// rows that are shorter than 8 lines, what N blocks of the next N rows take of their memory, in a
// row: measured with rows of 324 bytes, 19 instead of 14 GB/s; with rows of 612, as much; with rows
// of 1152 and more, whose walks side by side keep more of DRAM's banks busy, up to a third less.
template <int N, std::int64_t kBlockBytes>
inline void prefetch_block(const std::uint8_t* const* rows, std::int64_t index,
                           std::int64_t row_bytes) {
  constexpr std::int64_t kBlocksPerLine = larger(64 / kBlockBytes, 1);
  if (row_bytes < 8 * 64) {
    const std::uint8_t* next = rows[0] + N * (row_bytes + index * kBlockBytes);
    for (std::int64_t line = 0; line < N * kBlockBytes; line += 64) __builtin_prefetch(next + line);
    return;
  }
  if (index % kBlocksPerLine != 0) return;
  for (std::int64_t line = 0; line < kBlockBytes * kBlocksPerLine; line += 64) {
    prefetch_rows<N>(rows, index * kBlockBytes + line, row_bytes);
  }
}

// Inlined by force from here down to the loads: out of line, vectors pass through memory and Q4_0
// loses a third of its speed.
// One group of kLanes rows and one token. Two chains of sums hide the latency of the dots.
template <class V, class Kind>
[[gnu::always_inline]] inline typename V::I group_dot(const typename V::B* steps, const Q8Block& x,
                                                      int group) {
  using Dot = GroupDot<V, Kind::kCodes>;
  const typename V::I start = V::set1_i(group_start<Kind>(x, group)), zero = V::zero_i();
  typename Dot::Sum even = Dot::begin(start), odd = Dot::begin(zero);
  for (int j = group * Kind::kGroupSteps; j < (group + 1) * Kind::kGroupSteps; j += 2) {
    even = Dot::dot(even, steps[j], V::broadcast4(x.values + 4 * j));
    odd = Dot::dot(odd, steps[j + 1], V::broadcast4(x.values + 4 * j + 4));
  }
  return V::add_i(Dot::finish(even, start), Dot::finish(odd, zero));
}

// Blocks of one weight row's worth of T tokens.
template <class V, DType kType, int T>
[[gnu::always_inline]] inline void thin_rows(const std::uint8_t* const* rows,
                                             const Q8Block* const* x, std::int64_t blocks,
                                             std::int64_t row_bytes, typename V::F* sum) {
  using Type = Format<kType>;
  using Kind = Q8KindOf<V, kType>;
  constexpr int kBlocks = static_cast<int>(Type::kBlockWeights) / 32;
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t at = i * Type::kBlockBytes;
    prefetch_block<V::kLanes, Type::kBlockBytes>(rows, i, row_bytes);
    typename V::F d[kScalesOf<kType>], offset[kScalesOf<kType>];
    Type::template load_scales<V>(rows, at, d, offset);
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
            const typename V::I dot = group_dot<V, Kind>(steps + 8 * b, at_block, g);
            sum[t] = add_group<V, Kind>(sum[t], dot, d[s], minus, offset[s], at_block, g);
          }
        }
      }
    }
  }
}

// REQUIRES args.n_tokens <= T. Tokens past the last repeat it, and their results are dropped.
template <class V, DType kType, int T>
void thin_tokens(const MatMulArgs& args, WorkRange range) {
  const Q8Block* x[T];
  for (int t = 0; t < T; ++t) x[t] = q8_row(args, smaller(t, args.n_tokens - 1));
  for (std::int64_t row = range.begin; row < range.end; row += V::kLanes) {
    const std::uint8_t* rows[V::kLanes];
    row_pointers<V::kLanes>(args, row, range.end, rows);
    const std::int64_t n = range.end - row;
    float* out = args.out + row;
    typename V::F sum[T];
    for (int t = 0; t < T; ++t) {
      const bool add = args.accumulate && t < args.n_tokens;
      sum[t] = add ? V::load_n(out + t * args.out_stride, n) : V::zero();
    }
    thin_rows<V, kType, T>(rows, x, args.n_in / Format<kType>::kBlockWeights, args.row_bytes, sum);
    for (int t = 0; t < T; ++t) {
      if (t < args.n_tokens) V::store_n(out + t * args.out_stride, sum[t], n);
    }
  }
}

}  // namespace
}  // namespace windlass

// Products of quantised weights with the q8 activations of one to sixteen tokens: weights go from
// their rows to registers and serve all T tokens from there. For inclusion by isa_*.cpp alone.
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

// The q8 blocks of T tokens. Those of a few are read where they are; of more, pointers to each
// would not fit in registers, nor their rows in the lines that L1 follows: they are interleaved, or
// become so here.
inline constexpr std::int64_t kPackedBlocks = 128;  // 128 KiB of 16 tokens: they stay in L2
template <int T>
struct ThinTokens {
  const Q8Block* rows[T];
  [[gnu::always_inline]] const Q8Block& at(int token, std::int64_t block) const {
    return rows[token][block];
  }
};
template <int T>
requires(T >= kInterleavedFrom) struct ThinTokens<T> {
  const Q8Block* blocks;  // [block][stride], the first T of which are the tokens'
  std::int64_t stride;
  [[gnu::always_inline]] const Q8Block& at(int token, std::int64_t block) const {
    return blocks[block * stride + token];
  }
};

// Inlined by force from here down to the loads: out of line, vectors pass through memory and Q4_0
// loses a third of its speed.
// One block of kLanes rows and N tokens from `token` on. Their sums take turns, and one token's or
// two have two chains each: or the latency of the dots would show.
template <class V, class Kind, int T, int N>
[[gnu::always_inline]] inline void add_block_dots(const typename V::B* steps,
                                                  const ThinTokens<T>& x, int token,
                                                  std::int64_t block, const typename V::F* d,
                                                  const typename V::F* minus,
                                                  const typename V::F* offset, typename V::F* sum) {
  using Dot = GroupDot<V, Kind::kCodes>;
  constexpr int kChains = T > 2 ? 1 : 2, kGroups = Kind::kGroups;
  typename V::I start[N][kGroups];
  typename Dot::Sum dots[N][kGroups][kChains];
  for (int t = 0; t < N; ++t) {
    for (int g = 0; g < kGroups; ++g) {
      start[t][g] = V::set1_i(group_start<Kind>(x.at(token + t, block), g));
      dots[t][g][0] = Dot::begin(start[t][g]);
      if constexpr (kChains == 2) dots[t][g][1] = Dot::begin(V::zero_i());
    }
  }
  for (int j = 0; j < Kind::kGroupSteps; ++j) {
    for (int t = 0; t < N; ++t) {
      for (int g = 0; g < kGroups; ++g) {
        const int step = g * Kind::kGroupSteps + j;
        typename Dot::Sum& dot = dots[t][g][j % kChains];
        dot = Dot::dot_at(dot, steps[step], x.at(token + t, block).values + 4 * step);
      }
    }
  }
  for (int t = 0; t < N; ++t) {
    for (int g = 0; g < kGroups; ++g) {
      typename V::I dot = Dot::finish(dots[t][g][0], start[t][g]);
      if constexpr (kChains == 2) dot = V::add_i(dot, Dot::finish(dots[t][g][1], V::zero_i()));
      sum[token + t] = add_group<V, Kind>(sum[token + t], dot, d[g], minus[g], offset[g],
                                          x.at(token + t, block), g);
    }
  }
}

// So many of T tokens' sums take turns, where there are registers for it.
template <class V, class Kind, int T>
constexpr int turns() {
  if (V::kLanes < 16 || T < kInterleavedFrom) return 1;
  if (Kind::kGroups == 1 && T % 4 == 0) return 4;
  return T % 2 == 0 ? 2 : 1;
}

// The scales of each block in turn. Of many tokens, where the dots leave few vector operations to
// spare, heads of blocks are copied by scalar ones: a vector of them is then one load, where the
// lanes' own take 12 inserts. They are copied two blocks ahead: a load waits for the stores to end.
// REQUIRES blocks >= 1.
template <class V, DType kType, int T>
class ThinScales {
 public:
  ThinScales(const std::uint8_t* const*, std::int64_t) {}
  [[gnu::always_inline]] void load(const std::uint8_t* const* rows, std::int64_t block,
                                   typename V::F* d, typename V::F* offset) {
    load_scales<V, kType>(rows, block * Format<kType>::kBlockBytes, d, offset);
  }
};
template <class V, DType kType, int T>
requires(T >= kInterleavedFrom && V::kLanes == 16 &&
         requires { Format<kType>::kHeadApart; }) class ThinScales<V, kType, T> {
 public:
  ThinScales(const std::uint8_t* const* rows, std::int64_t blocks) : last_(blocks - 1) {
    for (std::int64_t block = 0; block < kAhead; ++block) copy(rows, block);
  }
  [[gnu::always_inline]] void load(const std::uint8_t* const* rows, std::int64_t block,
                                   typename V::F* d, typename V::F* offset) {
    Type::template load_copied_scales<V>(heads_[block % kSlots], d, offset);
    *d = shifted_scale<V, kType>(*d);
    copy(rows, block + kAhead);
  }

 private:
  using Type = Format<kType>;
  using Head = typename Type::Head;
  static constexpr std::int64_t kAhead = 2, kSlots = 4;

  [[gnu::always_inline]] void copy(const std::uint8_t* const* rows, std::int64_t block) {
    const std::int64_t at = smaller(block, last_) * Type::kBlockBytes;
    for (int r = 0; r < V::kLanes; ++r) {
      __builtin_memcpy(&heads_[block % kSlots][r], rows[r] + at, sizeof(Head));
    }
  }

  std::int64_t last_;
  alignas(64) Head heads_[kSlots][V::kLanes];
};

// Some of a weight row's blocks of T tokens.
template <class V, DType kType, int T>
[[gnu::always_inline]] inline void thin_rows(const std::uint8_t* const* rows,
                                             const ThinTokens<T>& x, std::int64_t blocks,
                                             typename V::F* sum) {
  using Type = Format<kType>;
  using Kind = StepKindOf<V, kType>;
  constexpr int kBlocks = static_cast<int>(Type::kBlockWeights) / 32;
  constexpr int kTurns = turns<V, Kind, T>();
  ThinScales<V, kType, T> scales(rows, blocks);
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::int64_t at = i * Type::kBlockBytes;
    prefetch_block<V::kLanes, Type::kBlockBytes>(rows, i);
    typename V::F d[kScalesOf<kType>], offset[kScalesOf<kType>];
    scales.load(rows, i, d, offset);
    for (int part = 0; part < kBlocks / Type::kPartBlocks; ++part) {
      typename V::B steps[8 * Type::kPartBlocks];
      load_steps<V, kType>(rows, at, part, steps);
      for (int b = 0; b < Type::kPartBlocks; ++b) {
        const int block = part * Type::kPartBlocks + b;
        const int first = block * Kind::kGroups;  // scale
        typename V::F minus[Kind::kGroups];
        for (int g = 0; g < Kind::kGroups; ++g) minus[g] = minus_magic<V>(d[first + g]);
#pragma GCC unroll 16
        for (int t = 0; t < T; t += kTurns) {
          add_block_dots<V, Kind, T, kTurns>(steps + 8 * b, x, t, i * kBlocks + block, d + first,
                                             minus, offset + first, sum);
        }
      }
    }
  }
}

// Those blocks of a row of weights whose columns are multiplied with the tokens at hand.
struct ThinColumns {
  std::int64_t first, blocks;
  bool add;  // to what `out` holds
};

// The lanes' walks through `rows`, lane l from row rows.begin + l * length on.
struct Walks {
  WorkRange rows;
  std::int64_t length;
};

// Results of some steps of the walks. In `out` those of one step lie far apart, and those of one
// lane's steps side by side: so they go there by lanes, some steps at a time.
inline constexpr int kThinSteps = 16;
template <class V, int T>
struct ThinSums {
  alignas(64) float values[kThinSteps][T][V::kLanes];

  // Calls function(value, place in `out`) for those of n steps from `step` on that are rows.
  template <class Function>
  void for_each(const MatMulArgs& args, const Walks& walks, std::int64_t step, std::int64_t n,
                const Function& function) {
    for (std::int64_t lane = 0; lane < V::kLanes; ++lane) {
      const std::int64_t row = walks.rows.begin + lane * walks.length + step;
      const std::int64_t rows = smaller(n, walks.rows.end - row);
      for (std::int64_t t = 0; t < smaller(T, args.n_tokens); ++t) {
        float* out = args.out + t * args.out_stride + row;
        for (std::int64_t s = 0; s < rows; ++s) function(&values[s][t][lane], out + s);
      }
    }
  }
};

// Row `step` of each walk, for all tokens.
template <class V, DType kType, int T>
void thin_step(const MatMulArgs& args, const ThinTokens<T>& x, const ThinColumns& columns,
               const Walks& walks, std::int64_t step, float (*sums)[V::kLanes]) {
  const std::uint8_t* rows[V::kLanes];
  row_pointers<V::kLanes>(args, walks.rows.begin + step, walks.length, walks.rows.end, rows);
  for (const std::uint8_t*& row : rows) row += columns.first * Format<kType>::kBlockBytes;
  typename V::F sum[T];
  for (int t = 0; t < T; ++t) sum[t] = columns.add ? V::load(sums[t]) : V::zero();
  thin_rows<V, kType, T>(rows, x, columns.blocks, sum);
  for (int t = 0; t < T; ++t) V::store(sums[t], sum[t]);
}

template <class V, DType kType, int T>
void thin_columns(const MatMulArgs& args, const ThinTokens<T>& x, const ThinColumns& columns,
                  WorkRange range) {
  ThinSums<V, T> sums;
  while (range.begin < range.end) {
    const std::int64_t length = walk_rows<V::kLanes>(range.end - range.begin, args.row_bytes);
    const Walks walks = {{range.begin, smaller(range.begin + length * V::kLanes, range.end)},
                         length};
    for (std::int64_t step = 0; step < length; step += kThinSteps) {
      const std::int64_t n = smaller(kThinSteps, length - step);
      if (columns.add) {
        sums.for_each(args, walks, step, n, [](float* sum, const float* out) { *sum = *out; });
      }
      for (std::int64_t s = 0; s < n; ++s) {
        thin_step<V, kType, T>(args, x, columns, walks, step + s, sums.values[s]);
      }
      sums.for_each(args, walks, step, n, [](const float* sum, float* out) { *out = *sum; });
    }
    range.begin = walks.rows.end;
  }
}

// REQUIRES args.n_tokens <= T, and for fewer than kInterleavedFrom tokens blocks side by side.
// Tokens past the last repeat it, and their results are dropped.
template <class V, DType kType, int T>
void thin_tokens(const MatMulArgs& args, WorkRange range) {
  ThinTokens<T> x;
  for (int t = 0; t < T; ++t) x.rows[t] = q8_row(args, smaller(t, args.n_tokens - 1));
  const ThinColumns all = {0, args.n_in / Format<kType>::kBlockWeights, args.accumulate};
  thin_columns<V, kType, T>(args, x, all, range);
}

// Of tokens that are not interleaved, for some columns at a time.
template <class V, DType kType, int T>
void thin_packed_tokens(const MatMulArgs& args, WorkRange range) {
  constexpr std::int64_t kBlocks = Format<kType>::kBlockWeights / 32;
  alignas(64) Q8Block packed[kPackedBlocks * T];
  const std::int64_t blocks = q8_blocks(args.n_in), stride = q8_block_stride(args);
  for (std::int64_t first = 0; first < blocks; first += kPackedBlocks) {
    const std::int64_t n = smaller(kPackedBlocks, blocks - first);
    for (int t = 0; t < T; ++t) {
      const Q8Block* x = q8_row(args, smaller(t, args.n_tokens - 1)) + first * stride;
      for (std::int64_t b = 0; b < n; ++b) packed[b * T + t] = x[b * stride];
    }
    const ThinColumns columns = {first / kBlocks, n / kBlocks, args.accumulate || first > 0};
    thin_columns<V, kType, T>(args, {packed, T}, columns, range);
  }
}
template <class V, DType kType, int T>
requires(T >= kInterleavedFrom) void thin_tokens(const MatMulArgs& args, WorkRange range) {
  if (args.n_tokens < T || args.x_stride_bytes != static_cast<std::int64_t>(sizeof(Q8Block))) {
    return thin_packed_tokens<V, kType, T>(args, range);
  }
  const ThinColumns all = {0, args.n_in / Format<kType>::kBlockWeights, args.accumulate};
  thin_columns<V, kType, T>(args, {q8_row(args, 0), q8_block_stride(args)}, all, range);
}

template <class V, DType kType>
inline constexpr int kThinTokens =
    Q8KindOf<V, kType>::kGroups == 1 ? V::kChoice.thin_tokens : V::kChoice.thin_tokens_halves;

// As many tokens at once as there are, from 5 on rounded up to 6, 8, 12 and 16, to compile fewer.
template <class V, DType kType, int kMost>
void thin_matmul_q8(const MatMulArgs& args, WorkRange range) {
  if constexpr (kMost > 1) {
    constexpr int kFewer = kMost - (kMost > 8 ? 4 : kMost > 4 ? 2 : 1);
    if (args.n_tokens <= kFewer && (kFewer >= kInterleavedFrom || q8_block_stride(args) == 1)) {
      return thin_matmul_q8<V, kType, kFewer>(args, range);
    }
  }
  thin_tokens<V, kType, kMost>(args, range);
}

}  // namespace
}  // namespace windlass

// Attention on tensor cores, for steps of many tokens, as FlashAttention-2 does it (Dao, arXiv
// 2307.08691): a block of four warps takes 64 queries, 16 a warp, through 32 keys at a time;
// scores, weights and o stay in registers, and softmax is online, quad by quad of lanes. While one
// block of keys is computed the next is copied to the other half of shared memory.
//
// Queries, keys, weights and values meet as halves, everything is added up in f32. Here: keys lie
// in pages as [key_dim][16 keys], which is what the second operand of Q K^T is loaded from,
// transposed; values by rows, so that of P V is, too. Columns of o beyond 128 are other blocks',
// which compute the scores again (heads of 256: half more work, and no register too many). A split
// of the context starts afresh and merges in order, as in attention_floats.cu.
//
// What a query gets does not depend on its tile: products are by row, blocks of keys begin at
// multiples of 32 of the split, and one that a query does not see changes none of its bits.
#include "kernels/attention.h"
#include "kernels/attention_tiles_inl.h"
#include "kernels/partials.h"

namespace windlass {
namespace {

// The online softmax of a lane's two queries, over the split so far.
struct Softmax {
  float max[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};
};

template <int kKeySteps, int kValueTiles>
__device__ void score_block(const Tile<kValueTiles>& tile, int which,
                            const std::uint32_t (&q)[kKeySteps][4], float (&scores)[kKeyTiles][4]) {
  const int row = tile.loaded_tile() % 2 * 8 + tile.loaded_row(), chunk = tile.loaded_tile() / 2;
  for (int step = 0; step < kKeySteps; ++step) {
    if (16 * step >= tile.memory.key_dim) continue;
    for (int group = 0; group < kBlockKeys / kGroupKeys; ++group) {
      std::uint32_t k[4];
      load_tiles_transposed(k, tile.memory.key_chunk(which, group, 16 * step + row, chunk));
      multiply_halves(scores[2 * group], q[step], k[0], k[1]);
      multiply_halves(scores[2 * group + 1], q[step], k[2], k[3]);
    }
  }
}

// Over the four lanes that hold a row.
inline __device__ float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(kAllLanes, x, 1));
  return fmaxf(x, __shfl_xor_sync(kAllLanes, x, 2));
}
inline __device__ float quad_sum(float x) {
  x += __shfl_xor_sync(kAllLanes, x, 1);
  return x + __shfl_xor_sync(kAllLanes, x, 2);
}

// Scores of one of the lane's queries become weights exp(score - m); returns by what o so far is
// multiplied. 1.442695 = log2(e).
inline __device__ float weigh_row(float (&scores)[kKeyTiles][4], int i, Softmax* softmax) {
  constexpr float kLog2E = 1.44269504f;
  float max = softmax->max[i];
  for (const auto& score : scores) max = fmaxf(max, fmaxf(score[2 * i], score[2 * i + 1]));
  max = quad_max(max);
  const float base = max == -INFINITY ? 0.0f : max;  // no key seen: weights of 0
  const float factor = exp2f((softmax->max[i] - base) * kLog2E);
  float sum = 0.0f;
  for (auto& score : scores) {
    for (int c = 2 * i; c < 2 * i + 2; ++c) {
      score[c] = exp2f((score[c] - base) * kLog2E);
      sum += score[c];
    }
  }
  softmax->sum[i] = softmax->sum[i] * factor + quad_sum(sum);
  softmax->max[i] = max;
  return factor;
}

// Caps the scores, and hides what a query does not see.
template <int kValueTiles>
__device__ void mask_scores(const Tile<kValueTiles>& tile, int first_key, const KeyRange (&seen)[2],
                            float (&scores)[kKeyTiles][4]) {
  const float cap = tile.args.soft_cap;
  for (int n = 0; n < kKeyTiles; ++n) {
    for (int c = 0; c < 4; ++c) {
      float& score = scores[n][c];
      if (cap > 0.0f) score = cap * tanhf(score / cap);
      const int key = first_key + 8 * n + tile.column() + c % 2;
      if (key < seen[c / 2].begin || key >= seen[c / 2].end) score = -INFINITY;
    }
  }
}

template <int kValueTiles>
__device__ void add_values(const Tile<kValueTiles>& tile, int which,
                           const float (&weights)[kKeyTiles][4], float (&o)[kValueTiles][4]) {
  for (int group = 0; group < kBlockKeys / kGroupKeys; ++group) {
    const auto& low = weights[2 * group];
    const auto& high = weights[2 * group + 1];
    const std::uint32_t p[4] = {half_pair(low[0], low[1]), half_pair(low[2], low[3]),
                                half_pair(high[0], high[1]), half_pair(high[2], high[3])};
    const int key = group * kGroupKeys + tile.loaded_tile() % 2 * 8 + tile.loaded_row();
    for (int n = 0; n < kValueTiles; n += 2) {
      if (8 * n >= tile.columns) continue;
      std::uint32_t v[4];
      load_tiles_transposed(v, tile.memory.value_chunk(which, key, n + tile.loaded_tile() / 2));
      multiply_halves(o[n], p, v[0], v[1]);
      multiply_halves(o[n + 1], p, v[2], v[3]);
    }
  }
}

// o and its sums over the keys of one split.
template <int kKeySteps, int kValueTiles>
__device__ Softmax attend_split(const Tile<kValueTiles>& tile, const KeySplit& split,
                                const Positions& positions, const std::uint32_t (&q)[kKeySteps][4],
                                float (&o)[kValueTiles][4]) {
  const KeyRange all = keys_seen(tile.args, split, positions.first, positions.last);
  KeyRange seen[2];
  for (int i = 0; i < 2; ++i) {
    seen[i] = keys_seen(tile.args, split, positions.of_row[i], positions.of_row[i]);
  }
  Softmax softmax;
  const int begin = all.begin / kBlockKeys * kBlockKeys;
  if (begin < all.end) load_block(tile, 0, split, begin, all);
  for (int key = begin, which = 0; key < all.end; key += kBlockKeys, which = 1 - which) {
    if (key + kBlockKeys < all.end) {
      load_block(tile, 1 - which, split, key + kBlockKeys, all);
    } else {
      commit_copies();  // an empty group, so that the last but one is always this block's
    }
    wait_for_copies<1>();
    __syncthreads();
    float scores[kKeyTiles][4] = {};
    score_block<kKeySteps>(tile, which, q, scores);
    mask_scores(tile, key, seen, scores);
    const float factors[2] = {weigh_row(scores, 0, &softmax), weigh_row(scores, 1, &softmax)};
    for (auto& of_tile : o) {
      for (int c = 0; c < 4; ++c) of_tile[c] *= factors[c / 2];
    }
    add_values(tile, which, scores, o);
    __syncthreads();  // the buffer has been read
  }
  return softmax;
}

// o of one of the lane's queries in split number `index`, and m and l: to the partials, or into
// what `out` has so far.
template <int kValueTiles>
__device__ void store_row(const Tile<kValueTiles>& tile, std::int64_t index, int i,
                          const Softmax& softmax, const float (&o)[kValueTiles][4],
                          RunningSum* total) {
  const AttentionArgs& args = tile.args;
  const SplitShares shares = total->take_in(softmax.max[i], softmax.sum[i]);
  if (tile.row(i) >= tile.work.n_rows) return;
  const std::int64_t at = row_in_out(args, tile.work, tile.row(i));
  const std::int64_t partial = index * args.tokens * args.heads + at;
  float* partial_row = args.partials + partial * partial_floats(args.value_dim);
  float* row = args.partials != nullptr ? partial_row : args.out + at * args.value_dim;
  for (int n = 0; n < kValueTiles; ++n) {
    if (8 * n >= tile.columns) continue;
    for (int c = 0; c < 2; ++c) {
      float* to = row + tile.first_column + 8 * n + tile.column() + c;
      if (args.partials != nullptr) {
        *to = o[n][2 * i + c];
      } else {
        take_in_value(shares, o[n][2 * i + c], to);
      }
    }
  }
  if (args.partials == nullptr || tile.first_column != 0 || tile.lane % 4 != 0) return;
  partial_row[args.value_dim] = softmax.max[i];
  partial_row[args.value_dim + 1] = softmax.sum[i];
}

// Divides by l what the lane has stored of a query.
template <int kValueTiles>
__device__ void finish_row(const Tile<kValueTiles>& tile, int i, const RunningSum& total) {
  if (tile.row(i) >= tile.work.n_rows) return;
  const std::int64_t at = row_in_out(tile.args, tile.work, tile.row(i));
  float* row = tile.args.out + at * tile.args.value_dim + tile.first_column + tile.column();
  for (int column = 0; column < tile.columns; column += 8) {
    for (int c = 0; c < 2; ++c) {
      row[column + c] = finished_value(total.inverse(), row[column + c]);
    }
  }
}

// Two blocks on a multiprocessor: 255 registers a thread.
template <int kKeySteps, int kValueTiles>
__global__ void __launch_bounds__(kThreads, 2)
    attend_tiles_kernel(AttentionArgs args, QueryTiles tiles) {
  const QueryTile work = query_tile(args, tiles);
  const int first_column = static_cast<int>(work.part) * 8 * kValueTiles;
  const int columns = min(8 * kValueTiles, static_cast<int>(args.value_dim) - first_column);
  const int thread = static_cast<int>(threadIdx.x);
  const Tile<kValueTiles> tile = {args,
                                  work,
                                  {static_cast<int>(args.key_dim), shared_memory<std::byte>()},
                                  first_column,
                                  columns,
                                  thread / kWarpLanes,
                                  thread % kWarpLanes};
  std::uint32_t q[kKeySteps][4];
  load_queries(tile, q);
  const Positions positions = find_positions(tile);
  RunningSum totals[2];
  for (std::int64_t s = work.first_split; s < work.end_split; ++s) {
    float o[kValueTiles][4] = {};
    const Softmax softmax = attend_split(tile, key_split(args, s), positions, q, o);
    for (int i = 0; i < 2; ++i) store_row(tile, s, i, softmax, o, &totals[i]);
  }
  for (int i = 0; i < 2 && args.partials == nullptr; ++i) finish_row(tile, i, totals[i]);
}

// Heads of up to 16 * kKeySteps, columns of o by 8 * kValueTiles.
template <int kKeySteps, int kValueTiles>
void start(const AttentionArgs& args, const DeviceRange& range) {
  const std::int64_t parts = (args.value_dim + 8 * kValueTiles - 1) / (8 * kValueTiles);
  const QueryTiles tiles = query_tiles(args, range, kTileRows, parts);
  launch(count_blocks(args, tiles), kThreads, Memory<kValueTiles>::bytes(args.key_dim),
         range.stream, attend_tiles_kernel<kKeySteps, kValueTiles>, args, tiles);
}

}  // namespace

void attend_in_tiles(const AttentionArgs& args, DeviceRange range) {
  if (args.key_dim <= 64 && args.value_dim <= 64) return start<4, 8>(args, range);
  return args.key_dim <= 128 ? start<8, 16>(args, range) : start<16, 16>(args, range);
}

}  // namespace windlass

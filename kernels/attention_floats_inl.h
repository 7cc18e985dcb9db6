// What a block of attention_floats.cu works on, and the first half of what it does: queries to
// shared memory, their scores with the keys of a split, and weights. For inclusion there alone.
#pragma once

#include "kernels/attention_work.h"
#include "kernels/kv_elements.h"
#include "kernels/partials.h"

namespace windlass {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarpLanes;
constexpr int kGroupKeys = static_cast<int>(kKvGroupKeys), kMostKeys = static_cast<int>(kSplitKeys);
constexpr int kColumns = 2;                  // of o, that a thread adds up at a time
constexpr int kChunk = kThreads * kColumns;  // columns that a block adds up at a time
constexpr std::int64_t kMostShared = 48 << 10;

// What a warp finds out about its query, for all threads.
struct QueryState {
  KeyRange seen;
  SplitShares shares;
  float inverse;
};

// A block's shared memory. What slices make of o takes the place of the scores: kThreads * kColumns
// is kMostKeys.
template <int kRows>
struct TileMemory {
  static_assert(kThreads * kColumns <= kMostKeys && kRows <= kWarps);

  QueryState* states;  // [kRows]
  float* scores;       // [kRows][kMostKeys], then [slices][kRows][columns]
  float* queries;      // [key_dim, up to a multiple of 8][kRows]

  static std::int64_t bytes(std::int64_t key_dim) {
    return kRows * (32 + 4 * (kMostKeys + (key_dim + 7) / 8 * 8));
  }
  __device__ static TileMemory here() {
    static_assert(sizeof(QueryState) <= 32);
    auto* begin = shared_memory<std::byte>();
    auto* scores = reinterpret_cast<float*>(begin + kRows * 32);
    return {reinterpret_cast<QueryState*>(begin), scores, scores + kRows * kMostKeys};
  }
};

// What the threads of a block work on.
template <int kRows>
struct Tile {
  const AttentionArgs& args;
  QueryTile work;
  TileMemory<kRows> memory;
  int warp, lane;
};

template <int kRows>
__device__ void load_queries(const Tile<kRows>& tile) {
  const int width = static_cast<int>((tile.args.key_dim + 7) / 8 * 8);
  for (int i = static_cast<int>(threadIdx.x); i < width * kRows; i += kThreads) {
    if (i % kRows >= tile.work.n_rows) tile.memory.queries[i] = 0.0f;
  }
  for_query_elements(tile.args, tile.work, [&](int row, int i, float x) {
    if (i < width) tile.memory.queries[i * kRows + row] = x;
  });
}

// Scores of one group of keys and all queries; -infinity where a query does not see the key.
template <KvType kType, int kRows>
__device__ void score_group(const Tile<kRows>& tile, const std::byte* group, int first_key) {
  const int key = tile.lane % kGroupKeys, half = tile.lane / kGroupKeys;
  const int dim = static_cast<int>(tile.args.key_dim);
  float scores[kRows] = {};
  for (int i = 4 * half; i < dim; i += 8) {
    float x[4];
    load_key_elements<kType>(group, dim, key, i, x);
    const float* queries = tile.memory.queries + i * kRows;
    for (int j = 0; j < 4; ++j) {
      for (int r = 0; r < kRows; ++r) scores[r] = fmaf(x[j], queries[j * kRows + r], scores[r]);
    }
  }
  const float cap = tile.args.soft_cap;
  for (int r = 0; r < kRows; ++r) {
    float score = scores[r] + __shfl_xor_sync(kAllLanes, scores[r], kGroupKeys);
    if (cap > 0.0f) score = cap * tanhf(score / cap);
    const KeyRange seen = tile.memory.states[r].seen;
    const bool is_seen = first_key + key >= seen.begin && first_key + key < seen.end;
    if (half == 0) {
      tile.memory.scores[r * kMostKeys + first_key + key] = is_seen ? score : -INFINITY;
    }
  }
}

template <KvType kType, int kRows>
__device__ void score_keys(const Tile<kRows>& tile, const KeySplit& split, KeyRange keys) {
  const int first = keys.begin / kGroupKeys + tile.warp;
  for (int key = first * kGroupKeys; key < keys.end; key += kWarps * kGroupKeys) {
    const GroupPlace place = group_place(tile.args, split, tile.work.kv_head, key);
    score_group<kType>(tile, place.keys, key);
  }
}

template <int kRows>
__device__ void score_split(const Tile<kRows>& tile, const KeySplit& split, KeyRange keys) {
  switch (tile.args.types.keys) {
    case KvType::kF32:
      return score_keys<KvType::kF32>(tile, split, keys);
    case KvType::kF16:
      return score_keys<KvType::kF16>(tile, split, keys);
    case KvType::kBF16:
      return score_keys<KvType::kBF16>(tile, split, keys);
    case KvType::kQ8_0:
      return score_keys<KvType::kQ8_0>(tile, split, keys);
  }
}

// m and l of a split.
struct SplitSum {
  float max, sum;
};

// A query's scores of whole groups become weights exp(score - m). A lane takes every 32nd key of
// the split, so that the order of the sum does not depend on where the groups begin.
__device__ SplitSum weigh_keys(float* scores, KeyRange groups, int lane) {
  const int first = groups.begin / kWarpLanes * kWarpLanes + lane;
  float max = -INFINITY, sum = 0.0f;
  for (int key = first; key < groups.end; key += kWarpLanes) {
    if (key >= groups.begin) max = fmaxf(max, scores[key]);
  }
  max = warp_max(max);
  for (int key = first; key < groups.end; key += kWarpLanes) {
    if (key < groups.begin) continue;
    scores[key] = max == -INFINITY ? 0.0f : expf(scores[key] - max);
    sum += scores[key];
  }
  return {max, warp_sum(sum)};
}

// What any query of the tile sees.
template <int kRows>
__device__ KeyRange keys_of_tile(const Tile<kRows>& tile) {
  KeyRange keys = {kMostKeys, 0};
  for (int r = 0; r < kRows; ++r) {
    const KeyRange seen = tile.memory.states[r].seen;
    if (seen.begin >= seen.end) continue;
    keys.begin = min(keys.begin, seen.begin);
    keys.end = max(keys.end, seen.end);
  }
  return keys.begin < keys.end ? keys : KeyRange{0, 0};
}

}  // namespace
}  // namespace windlass

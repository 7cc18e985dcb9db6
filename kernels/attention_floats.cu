// Attention in f32, for steps of few tokens and where exactness is asked for: as Flash-Decoding has
// it (Dao et al., 2023), a block takes the queries of a kv head's group through a split of the
// context, so that each key and value is read from memory once for up to eight queries.
//
// A split is at most 512 keys, so the scores of all of it fit in shared memory (8 queries: 16 KiB)
// and its softmax needs no second pass over values. Three phases, a barrier between them:
//   scores: a warp takes 16 keys, a lane every other four elements of one of them, so that loads
//           of a warp are 64 bytes and more side by side;
//   weights: a warp takes a query;
//   values: a thread takes two columns of o and, where a row has few, every so many-th group of 16
//           keys; these slices meet in shared memory.
// Sums have an order by the head's size and the keys of the split alone: which queries share the
// tile, and how many, changes nothing.
#include "kernels/attention.h"
#include "kernels/attention_floats_inl.h"

namespace windlass {
namespace {

// How the threads share the columns of o and the groups of keys: slice s takes groups s, s +
// slices, .. of the split.
struct Slices {
  int threads, slices;  // of a slice; how many
  int thread, slice;    // the running thread's; slices or more: none

  __device__ explicit Slices(std::int64_t value_dim) {
    const auto pairs = static_cast<int>((value_dim + kColumns - 1) / kColumns);
    threads = min(pairs, kThreads);
    slices = kThreads / threads;
    thread = static_cast<int>(threadIdx.x) % threads;
    slice = static_cast<int>(threadIdx.x) / threads;
  }
};

// sums += weights * values of four keys from `key` on, of which those in `keys` are read.
template <int kRows, class Load>
__device__ void add_four_values(const float* weights, int key, KeyRange keys, const Load& load,
                                float (&sums)[kRows][kColumns]) {
  float x[4][kColumns] = {};
  for (int j = 0; j < 4; ++j) {
    if (key + j >= keys.begin && key + j < keys.end) load((key + j) % kGroupKeys, x[j]);
  }
  for (int r = 0; r < kRows; ++r) {
    float weight[4];
    memcpy(weight, __builtin_assume_aligned(weights + r * kMostKeys + key, 16), sizeof weight);
    for (int j = 0; j < 4; ++j) {
      for (int c = 0; c < kColumns; ++c) sums[r][c] = fmaf(weight[j], x[j][c], sums[r][c]);
    }
  }
}

// The slice's part of two columns of o, from `column` on. load(place, key of the group, x) gives
// these of one value.
template <int kRows, class Load>
__device__ void add_values(const Tile<kRows>& tile, const KeySplit& split, KeyRange keys,
                           const Slices& slices, const Load& load, float (&sums)[kRows][kColumns]) {
  const int first = keys.begin / kGroupKeys;
  const int behind = (slices.slice - first % slices.slices + slices.slices) % slices.slices;
  for (int group = first + behind; group * kGroupKeys < keys.end; group += slices.slices) {
    const int key = group * kGroupKeys;
    const GroupPlace place = group_place(tile.args, split, tile.work.kv_head, key);
    for (int j = 0; j < kGroupKeys; j += 4) {
      add_four_values(
          tile.memory.scores, key + j, keys,
          [&](int in_group, float(&x)[kColumns]) { load(place, in_group, x); }, sums);
    }
  }
}

template <KvType kType, int kRows>
__device__ void add_columns_of(const Tile<kRows>& tile, const KeySplit& split, KeyRange keys,
                               const Slices& slices, int column, float (&sums)[kRows][kColumns]) {
  const AttentionArgs& args = tile.args;
  if (args.values_in_keys) {
    const auto load = [&](const GroupPlace& place, int key, float(&x)[kColumns]) {
      for (int c = 0; c < kColumns && column + c < args.value_dim; ++c) {
        x[c] = key_element<kType>(place.keys, args.key_dim, key, column + c);
      }
    };
    return add_values(tile, split, keys, slices, load, sums);
  }
  const std::int64_t row_bytes = kv_bytes(kType, args.value_dim);
  const auto load = [&](const GroupPlace& place, int key, float(&x)[kColumns]) {
    load_value_pair<kType>(place.values + key * row_bytes, args.value_dim, column, x);
  };
  add_values(tile, split, keys, slices, load, sums);
}

template <int kRows>
__device__ void add_columns(const Tile<kRows>& tile, const KeySplit& split, KeyRange keys,
                            const Slices& slices, int column, float (&sums)[kRows][kColumns]) {
  const KvTypes types = tile.args.types;
  switch (tile.args.values_in_keys ? types.keys : types.values) {
    case KvType::kF32:
      return add_columns_of<KvType::kF32>(tile, split, keys, slices, column, sums);
    case KvType::kF16:
      return add_columns_of<KvType::kF16>(tile, split, keys, slices, column, sums);
    case KvType::kBF16:
      return add_columns_of<KvType::kBF16>(tile, split, keys, slices, column, sums);
    case KvType::kQ8_0:
      return add_columns_of<KvType::kQ8_0>(tile, split, keys, slices, column, sums);
  }
}

// o of split number `index`: to the partials, or into what `out` has so far.
template <int kRows>
__device__ void store_value(const Tile<kRows>& tile, std::int64_t index, int row, int column,
                            float o) {
  const AttentionArgs& args = tile.args;
  const std::int64_t at = row_in_out(args, tile.work, row);
  if (args.partials != nullptr) {
    const std::int64_t partial = index * args.tokens * args.heads + at;
    args.partials[partial * partial_floats(args.value_dim) + column] = o;
  } else {
    take_in_value(tile.memory.states[row].shares, o, args.out + at * args.value_dim + column);
  }
}

// Rows of few columns: the slices meet in shared memory.
template <int kRows>
__device__ void value_slices(const Tile<kRows>& tile, const KeySplit& split, std::int64_t index,
                             KeyRange keys, const Slices& slices) {
  float sums[kRows][kColumns] = {};
  if (slices.slice < slices.slices) {
    add_columns(tile, split, keys, slices, kColumns * slices.thread, sums);
  }
  __syncthreads();  // the weights have been read
  const int width = kColumns * slices.threads, dim = static_cast<int>(tile.args.value_dim);
  float* all = tile.memory.scores;
  for (int r = 0; slices.slice < slices.slices && r < kRows; ++r) {
    float* to = all + (slices.slice * kRows + r) * width + kColumns * slices.thread;
    for (int c = 0; c < kColumns; ++c) to[c] = sums[r][c];
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < tile.work.n_rows * dim; i += kThreads) {
    const int row = i / dim, column = i % dim;
    float o = 0.0f;
    for (int s = 0; s < slices.slices; ++s) o += all[(s * kRows + row) * width + column];
    store_value(tile, index, row, column, o);
  }
}

// Rows of more columns than there are threads for: some after the other.
template <int kRows>
__device__ void value_chunks(const Tile<kRows>& tile, const KeySplit& split, std::int64_t index,
                             KeyRange keys, const Slices& slices) {
  const int dim = static_cast<int>(tile.args.value_dim);
  for (int column = kColumns * slices.thread; column < dim; column += kChunk) {
    float sums[kRows][kColumns] = {};
    add_columns(tile, split, keys, slices, column, sums);
    for (int r = 0; r < kRows; ++r) {
      for (int c = 0; c < kColumns; ++c) {
        if (r >= tile.work.n_rows || column + c >= dim) continue;
        store_value(tile, index, r, column + c, sums[r][c]);
      }
    }
  }
}

// The warp's query takes in m and l of the split.
template <int kRows>
__device__ void note_sum(const Tile<kRows>& tile, std::int64_t index, const SplitSum& split,
                         RunningSum* total) {
  const AttentionArgs& args = tile.args;
  const SplitShares shares = total->take_in(split.max, split.sum);
  if (tile.lane != 0) return;
  tile.memory.states[tile.warp].shares = shares;
  if (args.partials == nullptr || tile.warp >= tile.work.n_rows) return;
  const std::int64_t partial =
      index * args.tokens * args.heads + row_in_out(args, tile.work, tile.warp);
  float* max_and_sum = args.partials + partial * partial_floats(args.value_dim) + args.value_dim;
  max_and_sum[0] = split.max;
  max_and_sum[1] = split.sum;
}

template <int kRows>
__device__ void attend_split(const Tile<kRows>& tile, std::int64_t index, RunningSum* total) {
  const KeySplit split = key_split(tile.args, index);
  if (tile.warp < kRows && tile.lane == 0) {
    KeyRange seen = {0, 0};
    if (tile.warp < tile.work.n_rows) {
      const std::int32_t position = position_of(tile.args, tile.work, tile.warp);
      seen = keys_seen(tile.args, split, position, position);
    }
    tile.memory.states[tile.warp].seen = seen;
  }
  __syncthreads();
  const KeyRange keys = keys_of_tile(tile);
  score_split(tile, split, keys);
  __syncthreads();
  if (tile.warp < kRows) {
    const KeyRange groups = {keys.begin / kGroupKeys * kGroupKeys,
                             (keys.end + kGroupKeys - 1) / kGroupKeys * kGroupKeys};
    float* scores = tile.memory.scores + tile.warp * kMostKeys;
    note_sum(tile, index, weigh_keys(scores, groups, tile.lane), total);
  }
  __syncthreads();
  const Slices slices(tile.args.value_dim);
  if (slices.slices > 1) {
    value_slices(tile, split, index, keys, slices);
  } else {
    value_chunks(tile, split, index, keys, slices);
  }
}

// Divides by l what the threads have stored in `out`: each its own elements.
template <int kRows>
__device__ void finish_rows(const Tile<kRows>& tile, const RunningSum& total) {
  if (tile.warp < kRows && tile.lane == 0) tile.memory.states[tile.warp].inverse = total.inverse();
  __syncthreads();
  const AttentionArgs& args = tile.args;
  const int dim = static_cast<int>(args.value_dim);
  const auto finish = [&](int row, int column) {
    float* out = args.out + row_in_out(args, tile.work, row) * dim + column;
    *out = finished_value(tile.memory.states[row].inverse, *out);
  };
  if (Slices(dim).slices > 1) {
    for (int i = static_cast<int>(threadIdx.x); i < tile.work.n_rows * dim; i += kThreads) {
      finish(i / dim, i % dim);
    }
    return;
  }
  for (int column = kColumns * static_cast<int>(threadIdx.x); column < dim; column += kChunk) {
    for (int r = 0; r < tile.work.n_rows; ++r) {
      for (int c = 0; c < kColumns && column + c < dim; ++c) finish(r, column + c);
    }
  }
}

// Two blocks on a multiprocessor: 128 registers a thread.
template <int kRows>
__global__ void __launch_bounds__(kThreads, 2)
    attend_floats_kernel(AttentionArgs args, QueryTiles tiles) {
  const int thread = static_cast<int>(threadIdx.x);
  const Tile<kRows> tile = {args, query_tile(args, tiles), TileMemory<kRows>::here(),
                            thread / kWarpLanes, thread % kWarpLanes};
  load_queries(tile);
  RunningSum total;  // of the warp's query
  for (std::int64_t s = tile.work.first_split; s < tile.work.end_split; ++s) {
    attend_split(tile, s, &total);
  }
  if (args.partials == nullptr) finish_rows(tile, total);
}

template <int kRows>
void start(const AttentionArgs& args, const DeviceRange& range) {
  const QueryTiles tiles = query_tiles(args, range, kRows, 1);
  launch(count_blocks(args, tiles), kThreads, TileMemory<kRows>::bytes(args.key_dim), range.stream,
         attend_floats_kernel<kRows>, args, tiles);
}

}  // namespace

void attend_in_floats(const AttentionArgs& args, DeviceRange range) {
  const std::int64_t rows = args.tokens * group_of(args);
  if (rows == 1) return start<1>(args, range);
  const bool fits = TileMemory<8>::bytes(args.key_dim) <= kMostShared;
  return rows > 4 && fits ? start<8>(args, range) : start<4>(args, range);
}

}  // namespace windlass

// What a block of attention_tiles.cu works on: which queries, and how queries, keys and values get
// into shared memory as halves. For inclusion there alone.
#pragma once

#include "kernels/attention_work.h"
#include "kernels/kv_elements.h"
#include "kernels/mma_words.h"

namespace windlass {
namespace {

constexpr int kWarps = 4, kThreads = kWarps * kWarpLanes;
constexpr int kTileRows = 16 * kWarps;  // queries of a block
constexpr int kBlockKeys = 32, kKeyTiles = kBlockKeys / 8;
constexpr int kGroupKeys = static_cast<int>(kKvGroupKeys);
constexpr int kChunkBytes = 16;  // eight halves: a row of a tile that tensor cores load

// A buffer's keys, then its values; queries pass through both buffers in the beginning.
//   keys:    [2 groups][key_dim][2 chunks of 8 keys]; in rows 4 to 7 of 8 the chunks change places
//   values:  [32 keys][kValueTiles chunks of 8 columns]; chunk c of key k lies at c ^ k % 8
//   queries: [64][key_dim], a chunk of padding behind each row
// so that the eight rows of a tile lie in different banks.
template <int kValueTiles>
struct Memory {
  static_assert(kValueTiles % 8 == 0);

  int key_dim;
  std::byte* begin;

  static std::int64_t bytes(std::int64_t key_dim) {
    return 2 * kBlockKeys * (2 * key_dim + kChunkBytes * kValueTiles);
  }
  __device__ int buffer_at(int which) const {
    return which * kBlockKeys * (2 * key_dim + kChunkBytes * kValueTiles);
  }
  __device__ std::byte* key_chunk(int which, int group, int row, int chunk) const {
    const int place = (chunk ^ (row >> 2 & 1)) * kChunkBytes;
    return begin + (buffer_at(which) + (group * key_dim + row) * 2 * kChunkBytes + place);
  }
  __device__ std::byte* value_chunk(int which, int key, int chunk) const {
    const int place = (key * kValueTiles + (chunk ^ (key & 7))) * kChunkBytes;
    return begin + (buffer_at(which) + kBlockKeys * 2 * key_dim + place);
  }
  __device__ std::byte* query_row(int row) const {
    return begin + row * (2 * key_dim + kChunkBytes);
  }
};

// What the threads of a block work on.
template <int kValueTiles>
struct Tile {
  const AttentionArgs& args;
  QueryTile work;
  Memory<kValueTiles> memory;
  int first_column, columns;  // of o
  int warp, lane;

  // A lane holds, of each 8 columns, two neighbours in rows row(0) and row(1) of the tile.
  __device__ int row(int i) const { return 16 * warp + lane / 4 + 8 * i; }
  __device__ int column() const { return lane % 4 * 2; }
  // Of the row of a tile whose address the lane gives: which tile of four, which row of eight.
  __device__ int loaded_tile() const { return lane / 8; }
  __device__ int loaded_row() const { return lane % 8; }
};

// Positions of a lane's two queries, and the least and largest of the tile's.
struct Positions {
  std::int32_t of_row[2], first, last;
};

template <int kKeySteps, int kValueTiles>
__device__ void load_queries(const Tile<kValueTiles>& tile, std::uint32_t (&q)[kKeySteps][4]) {
  const int dim = tile.memory.key_dim;
  for_query_elements(tile.args, tile.work, [&](int row, int i, float x) {
    if (i < dim) reinterpret_cast<std::uint16_t*>(tile.memory.query_row(row))[i] = half_of_f32(x);
  });
  __syncthreads();
  const int row = 16 * tile.warp + tile.loaded_tile() % 2 * 8 + tile.loaded_row();
  const std::byte* from = tile.memory.query_row(row) + tile.loaded_tile() / 2 * kChunkBytes;
  for (int step = 0; step < kKeySteps; ++step) {
    if (16 * step < dim) load_tiles(q[step], from + step * 2 * kChunkBytes);
  }
  __syncthreads();  // keys and values take their place
}

template <int kValueTiles>
__device__ Positions find_positions(const Tile<kValueTiles>& tile) {
  Positions positions = {{0, 0}, 0x7fffffff, -0x7fffffff};
  for (int i = 0; i < 2; ++i) {
    if (tile.row(i) < tile.work.n_rows) {
      positions.of_row[i] = position_of(tile.args, tile.work, tile.row(i));
    }
  }
  for (int row = tile.lane; row < tile.work.n_rows; row += kWarpLanes) {
    const std::int32_t position = position_of(tile.args, tile.work, row);
    positions.first = min(positions.first, position);
    positions.last = max(positions.last, position);
  }
  for (int mask = kWarpLanes / 2; mask > 0; mask /= 2) {
    positions.first = min(positions.first, __shfl_xor_sync(kAllLanes, positions.first, mask));
    positions.last = max(positions.last, __shfl_xor_sync(kAllLanes, positions.last, mask));
  }
  return positions;
}

// Keys of one group, into buffer `which`: halves as they lie.
template <int kValueTiles>
__device__ void copy_keys(const Tile<kValueTiles>& tile, int which, int group,
                          const std::byte* keys) {
  for (int n = static_cast<int>(threadIdx.x); n < 2 * tile.memory.key_dim; n += kThreads) {
    copy_async(tile.memory.key_chunk(which, group, n / 2, n % 2), keys + n * kChunkBytes);
  }
}

// The same of q8_0: a thread widens four elements of a key.
template <int kValueTiles>
__device__ void widen_keys(const Tile<kValueTiles>& tile, int which, int group,
                           const std::byte* keys) {
  const int fours = tile.memory.key_dim / 4;
  for (int n = static_cast<int>(threadIdx.x); n < fours * kGroupKeys; n += kThreads) {
    const int key = n % kGroupKeys, first = n / kGroupKeys * 4;
    float x[4];
    load_key_elements<KvType::kQ8_0>(keys, tile.memory.key_dim, key, first, x);
    for (int j = 0; j < 4; ++j) {
      auto* chunk = tile.memory.key_chunk(which, group, first + j, key / 8);
      reinterpret_cast<std::uint16_t*>(chunk)[key % 8] = half_of_f32(x[j]);
    }
  }
}

// Values of one group, of the keys in `seen`, counted from its first: a thread takes eight columns
// of one. The others may not be written yet and get zeros: a weight of 0 does not hide a NaN.
template <int kValueTiles>
__device__ void load_values(const Tile<kValueTiles>& tile, int which, int group,
                            const std::byte* values, KeyRange seen) {
  const KvType type = tile.args.types.values;
  const int chunks = tile.columns / 8;
  const std::int64_t row_bytes = kv_bytes(type, tile.args.value_dim);
  for (int n = static_cast<int>(threadIdx.x); n < kGroupKeys * chunks; n += kThreads) {
    const int key = n / chunks, column = tile.first_column + n % chunks * 8;
    const bool real = key >= seen.begin && key < seen.end;
    const std::byte* row = real ? values + key * row_bytes : nullptr;
    std::byte* to = tile.memory.value_chunk(which, group * kGroupKeys + key, n % chunks);
    if (type == KvType::kF16) {
      copy_async(to, real ? row + 2 * column : nullptr, real);
      continue;
    }
    for (int j = 0; j < 8; j += 2) {
      float x[2] = {0.0f, 0.0f};
      if (real) load_value_pair<KvType::kQ8_0>(row, tile.args.value_dim, column + j, x);
      reinterpret_cast<std::uint32_t*>(to)[j / 2] = half_pair(x[0], x[1]);
    }
  }
}

// Starts to bring keys [first_key, first_key + 32) of the split, as far as the tile sees them.
template <int kValueTiles>
__device__ void load_block(const Tile<kValueTiles>& tile, int which, const KeySplit& split,
                           int first_key, KeyRange seen) {
  for (int group = 0; group < kBlockKeys / kGroupKeys; ++group) {
    const int key = first_key + group * kGroupKeys;
    const KeyRange in_group = {seen.begin - key, seen.end - key};
    GroupPlace place = {nullptr, nullptr};  // of one that nobody sees: its page may be gone
    if (in_group.begin < kGroupKeys && in_group.end > 0) {
      place = group_place(tile.args, split, tile.work.kv_head, key);
      if (tile.args.types.keys == KvType::kF16) {
        copy_keys(tile, which, group, place.keys);
      } else {
        widen_keys(tile, which, group, place.keys);
      }
    }
    load_values(tile, which, group, place.values, in_group);
  }
  commit_copies();
}

}  // namespace
}  // namespace windlass

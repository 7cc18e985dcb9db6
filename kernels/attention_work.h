// Which queries and keys a block of an attention kernel has, and its queries as keys meet them.
#pragma once

#include "kernels/op_table.h"
#include "kernels/q8_code.h"
#include "kernels/vectors.h"

namespace windlass {

// The queries of a kv head are rows: row = token * group + head of the group. Blocks take tiles of
// so many; of the columns of o, each a part. Without partials an item is all rows of a token; with
// them it is a split, which each tile of the kv head attends to.
struct QueryTiles {
  std::int64_t rows, per_head, parts;  // of a tile; tiles of a kv head; blocks of a tile
  std::int64_t begin, end;             // the call's items
  std::int64_t first;                  // tile of the first block, counted over all kv heads
};

// A block's.
struct QueryTile {
  std::int64_t kv_head, first_row, part;
  std::int64_t first_split, end_split;
  int n_rows;
};

inline std::int64_t group_of(const AttentionArgs& args) { return args.heads / args.kv_heads; }

inline QueryTiles query_tiles(const AttentionArgs& args, const DeviceRange& items,
                              std::int64_t rows, std::int64_t parts) {
  const std::int64_t per_head = (args.tokens * group_of(args) + rows - 1) / rows;
  const std::int64_t first =
      items.begin / args.tokens * per_head + items.begin % args.tokens * group_of(args) / rows;
  return {rows, per_head, parts, items.begin, items.end, first};
}

// Blocks that the call takes.
inline std::int64_t count_blocks(const AttentionArgs& args, const QueryTiles& tiles) {
  if (tiles.begin >= tiles.end) return 0;
  if (args.partials != nullptr) return (tiles.end - tiles.begin) * tiles.per_head * tiles.parts;
  const std::int64_t last = tiles.end - 1;  // item, whose last row is in the last tile
  const std::int64_t last_row = (last % args.tokens + 1) * group_of(args) - 1;
  return (last / args.tokens * tiles.per_head + last_row / tiles.rows + 1 - tiles.first) *
         tiles.parts;
}

inline __device__ QueryTile query_tile(const AttentionArgs& args, const QueryTiles& tiles) {
  const std::int64_t block = blockIdx.x / tiles.parts, n = n_splits(args);
  const std::int64_t group = args.heads / args.kv_heads;
  QueryTile tile;
  tile.part = blockIdx.x % tiles.parts;
  std::int64_t begin = 0, end = args.tokens;  // tokens of the kv head that are asked for
  std::int64_t number = tiles.first + block;
  if (args.partials != nullptr) {
    const std::int64_t item = tiles.begin + block / tiles.per_head;
    number = item / n * tiles.per_head + block % tiles.per_head;
    tile.first_split = item % n;
    tile.end_split = tile.first_split + 1;
  } else {
    const std::int64_t first_item = number / tiles.per_head * args.tokens;
    begin = max(begin, tiles.begin - first_item);
    end = min(end, tiles.end - first_item);
    tile.first_split = 0;
    tile.end_split = n;
  }
  tile.kv_head = number / tiles.per_head;
  const std::int64_t row = number % tiles.per_head * tiles.rows;
  tile.first_row = max(row, begin * group);
  tile.n_rows = static_cast<int>(min(row + tiles.rows, end * group) - tile.first_row);
  return tile;
}

// Row `row` of the tile, counted over the tokens and heads of the whole call, as in `out`.
inline __device__ std::int64_t row_in_out(const AttentionArgs& args, const QueryTile& tile,
                                          std::int64_t row) {
  const std::int64_t group = args.heads / args.kv_heads, of_head = tile.first_row + row;
  return of_head / group * args.heads + tile.kv_head * group + of_head % group;
}
inline __device__ std::int32_t position_of(const AttentionArgs& args, const QueryTile& tile,
                                           std::int64_t row) {
  return args.positions[(tile.first_row + row) / (args.heads / args.kv_heads)];
}

// Calls store(row, i, x) once for each element of the tile's queries, scaled, and rounded where the
// keys ask for it; each 32 elements by a warp. Past `key_dim`, up to a multiple of 32, zeros.
template <class Store>
__device__ void for_query_elements(const AttentionArgs& args, const QueryTile& tile,
                                   const Store& store) {
  const bool coded = args.types.keys == KvType::kQ8_0 && !args.exact_queries;
  const int warps = static_cast<int>(blockDim.x) / kWarpLanes;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes;
  const int pieces = static_cast<int>((args.key_dim + kWarpLanes - 1) / kWarpLanes);
  for (int n = static_cast<int>(threadIdx.x) / kWarpLanes; n < tile.n_rows * pieces; n += warps) {
    const int row = n / pieces, i = n % pieces * kWarpLanes + lane;
    const std::int64_t at = row_in_out(args, tile, row);
    const float* query = vector_at(args.q, at / args.heads, at % args.heads);
    float x = i < args.key_dim ? query[i] * args.scale : 0.0f;
    if (coded) {
      float scale;
      const int code = q8_code(x, &scale);
      x = static_cast<float>(code) * scale;
    }
    store(row, i, x);
  }
}

// Keys [begin, begin + n) of a segment.
struct KeySplit {
  KvSegment segment;
  std::int64_t begin;
  int n;
};

// Split number `index` of all segments.
inline __device__ KeySplit key_split(const AttentionArgs& args, std::int64_t index) {
  const KvSegment* segment = args.segments;
  while (index >= splits_of(segment->n_keys)) index -= splits_of(segment++->n_keys);
  const std::int64_t begin = index * kSplitKeys;
  return {*segment, begin, static_cast<int>(min(kSplitKeys, segment->n_keys - begin))};
}

// Keys of a split, counted from its first.
struct KeyRange {
  int begin, end;
};

// What queries at these positions see of it; nothing where begin >= end.
inline __device__ KeyRange keys_seen(const AttentionArgs& args, const KeySplit& split,
                                     std::int64_t first_position, std::int64_t last_position) {
  const std::int64_t origin = split.segment.first_position + split.begin;
  std::int64_t begin = 0, end = split.n;
  if (args.window > 0) begin = max(begin, first_position - args.window + 1 - origin);
  if (split.segment.causal) end = min(end, last_position + 1 - origin);
  return {static_cast<int>(min(begin, static_cast<std::int64_t>(split.n))),
          static_cast<int>(max(end, static_cast<std::int64_t>(0)))};
}

// Where 16 keys of the kv head that lie side by side begin, and their 16 rows of values.
struct GroupPlace {
  const std::byte *keys, *values;
};

// The group that begins at key `key` of the split. Slots fit in 32 bits, as positions do.
inline __device__ GroupPlace group_place(const AttentionArgs& args, const KeySplit& split,
                                         std::int64_t kv_head, int key) {
  const auto slot = static_cast<std::uint32_t>(split.begin + key);
  const auto page_tokens = static_cast<std::uint32_t>(args.page_tokens);
  const std::byte* page = split.segment.pages[slot / page_tokens];
  const std::int64_t row = kv_head * args.page_tokens + slot % page_tokens;
  const std::int64_t key_bytes = kv_bytes(args.types.keys, args.key_dim);
  return {page + row * key_bytes, page + args.kv_heads * args.page_tokens * key_bytes +
                                      row * kv_bytes(args.types.values, args.value_dim)};
}

}  // namespace windlass

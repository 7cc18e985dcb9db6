// Attention of query rows over pages of cached keys and values, as FlashAttention-2 does it (arXiv
// 2307.08691): a tile of queries meets one block of keys after the other, softmax is online
// (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018), once a block. All
// heads of one kv head's group, and the tokens of a call's range, share the tile. Long contexts are
// cut into splits of kSplitKeys, as Flash-Decoding does it, whose partials (o, m, l) merge in
// order: one after the other, or computed side by side and merged afterwards, with the same bits.
// For inclusion by isa_*.cpp alone.
//
// What a query computes depends on its own position and the segments alone: blocks are cut at page
// borders and fixed counts, lanes are keys by their slots, and each query adds up exactly the keys
// that it sees.
#pragma once

#include <cstdint>

#include "cpu_kernels/attention_products_inl.h"

namespace windlass {
namespace {

// Scores to weights exp(score - m); m, l and o take the block in. Hidden keys take part with scores
// of -infinity and weigh 1e-38 (exp's least), which vanishes beside the largest weight, 1.
template <class V>
inline void weigh_block(AttentionTile* tile, std::int64_t q, float cap) {
  constexpr int kVectors = kBlockKeys / V::kLanes;
  TileQuery& query = tile->query[q];
  const WorkRange seen = query.visible;
  if (seen.begin >= seen.end) return;
  float* scores = tile->scores[q];
  for (std::int64_t i = 0; cap > 0 && i < kBlockKeys; i += V::kLanes) {
    V::store(scores + i, soft_cap<V>(V::load(scores + i), V::set1(cap)));
  }
  for (std::int64_t i = 0; i < seen.begin; ++i) scores[i] = -__builtin_inff();
  for (std::int64_t i = seen.end; i < kBlockKeys; ++i) scores[i] = -__builtin_inff();
  typename V::F score[kVectors];
  for (int v = 0; v < kVectors; ++v) score[v] = V::load(scores + v * V::kLanes);
  typename V::F largest = V::set1(query.max);
  for (const typename V::F one : score) largest = V::max(largest, one);
  const float max = V::max_lane(largest);
  typename V::F sum = V::zero();
  for (int v = 0; v < kVectors; ++v) {
    const typename V::F weight = exp<V>(V::sub(score[v], V::set1(max)));
    V::store(scores + v * V::kLanes, weight);
    sum = V::add(sum, weight);
  }
  if (max == query.max) {
    query.sum += V::sum(sum);
    return;
  }
  const typename V::F old = exp<V>(V::set1(query.max - max));
  query.sum = query.sum * V::first(old) + V::sum(sum);
  query.max = max;
  float* out = tile->out + q * tile->out_width;
  for (std::int64_t i = 0; i < tile->out_width; i += V::kLanes) {
    V::store(out + i, V::mul(V::load(out + i), old));
  }
}

// Position of the first key that a query at `position` sees.
inline std::int64_t first_seen(const AttentionArgs& args, std::int64_t position) {
  return args.window > 0 ? position - args.window + 1 : 0;
}

// Sets `visible` for keys [first, first + n) of the segment; returns the range that the queries see
// between them.
inline WorkRange mark_visible(AttentionTile* tile, const AttentionArgs& args,
                              const KvSegment& segment, std::int64_t first, std::int64_t n) {
  const std::int64_t block_position = segment.first_position + first;
  WorkRange seen = {n, 0};
  for (std::int64_t q = 0; q < tile->n_queries; ++q) {
    TileQuery& query = tile->query[q];
    const std::int64_t end = query.position - block_position + 1;
    query.visible.begin = larger(0, first_seen(args, query.position) - block_position);
    query.visible.end = segment.causal ? smaller(end, n) : n;
    if (query.visible.begin >= query.visible.end) {
      query.visible = {0, 0};
      continue;
    }
    seen.begin = smaller(seen.begin, query.visible.begin);
    seen.end = larger(seen.end, query.visible.end);
  }
  return seen;
}

// Keys [begin, end) of a segment.
struct Split {
  const KvSegment* segment;
  std::int64_t begin, end;
};

// The first key of the page from which on some query of the tile sees keys of the split: pages that
// lie before every window are not visited.
inline std::int64_t first_page_key(const AttentionTile* tile, const AttentionArgs& args,
                                   const Split& split) {
  std::int64_t first = split.end;
  for (std::int64_t q = 0; q < tile->n_queries; ++q) {
    const std::int64_t seen = first_seen(args, tile->query[q].position);
    first = smaller(first, seen - split.segment->first_position);
  }
  return larger(first / args.page_tokens * args.page_tokens, split.begin);
}

// Where a block lies: keys and values of its first slot for the kv head.
struct BlockPlace {
  const std::byte *keys, *values;
};

inline BlockPlace place_of(const AttentionArgs& args, const Split& split, std::int64_t key,
                           std::int64_t kv_head) {
  const std::int64_t key_bytes = kv_bytes(args.types.keys, args.key_dim);
  const std::byte* page = split.segment->pages[key / args.page_tokens];
  const std::int64_t row = kv_head * args.page_tokens + key % args.page_tokens;
  return {page + row * key_bytes, page + args.kv_heads * args.page_tokens * key_bytes +
                                      row * kv_bytes(args.types.values, args.value_dim)};
}

// The keys `seen` of one block, for all queries.
template <class V>
inline void attend_block(AttentionTile* tile, const AttentionArgs& args, const BlockPlace& place,
                         const BlockPlace& next, WorkRange seen) {
  const WorkRange groups = {seen.begin / kKvGroupKeys,
                            (seen.end + kKvGroupKeys - 1) / kKvGroupKeys};
  for (std::int64_t d = 0; d < args.key_dim; d += kChunkDims) {
    const Chunk chunk = {d, chunk_of(args.key_dim, d)};
    load_keys<V>(tile, args, place.keys, next.keys, groups, chunk);
    score_block<V>(tile, groups, chunk);
  }
  for (std::int64_t q = 0; q < tile->n_queries; ++q) weigh_block<V>(tile, q, args.soft_cap);
  for (std::int64_t d = 0; d < args.value_dim; d += kChunkDims) {
    const Chunk chunk = {d, chunk_of(args.value_dim, d)};
    if (args.values_in_keys) {
      load_values_of_keys<V>(tile, args, place.keys, groups, chunk);
    } else {
      load_values<V>(tile, args, place.values, next.values, seen, chunk);
    }
    add_values_block<V>(tile, chunk);
  }
}

// The partials of all queries over one split.
template <class V>
inline void attend_split(AttentionTile* tile, const AttentionArgs& args, const Split& split,
                         std::int64_t kv_head) {
  for (std::int64_t q = 0; q < tile->n_queries; ++q) {
    tile->query[q].max = -__builtin_inff();
    tile->query[q].sum = 0.0f;
  }
  for (std::int64_t i = 0; i < tile->n_queries * tile->out_width; ++i) tile->out[i] = 0.0f;
  std::int64_t n = 0;
  for (std::int64_t first = first_page_key(tile, args, split); first < split.end; first += n) {
    n = smaller(smaller(kBlockKeys, args.page_tokens - first % args.page_tokens),
                split.end - first);
    const WorkRange seen = mark_visible(tile, args, *split.segment, first, n);
    if (seen.begin >= seen.end) continue;
    const bool last = first + n >= split.end;
    attend_block<V>(tile, args, place_of(args, split, first, kv_head),
                    last ? BlockPlace{} : place_of(args, split, first + n, kv_head), seen);
  }
}

// out, *max, *sum of all splits so far take in those of the next.
template <class V>
inline void take_in(const float* partial, float partial_max, float partial_sum, float* out,
                    float* max, float* sum, std::int64_t value_dim) {
  if (partial_sum == 0.0f) return;
  const bool first = *sum == 0.0f;
  const float most = first || partial_max > *max ? partial_max : *max;
  const float old = first ? 0.0f : V::first(exp<V>(V::set1(*max - most)));
  const float share = V::first(exp<V>(V::set1(partial_max - most)));
  *sum = *sum * old + partial_sum * share;
  *max = most;
  for (std::int64_t i = 0; i < value_dim; i += V::kLanes) {
    const std::int64_t n = value_dim - i;
    const typename V::F before = first ? V::zero() : V::mul(V::load_n(out + i, n), V::set1(old));
    V::store_n(out + i, V::fma(V::load_n(partial + i, n), V::set1(share), before), n);
  }
}

// Divides by l; zeros for a query that saw no key.
template <class V>
inline void finish_row(float* out, float sum, std::int64_t value_dim) {
  const typename V::F inverse = V::set1(1.0f / sum);
  for (std::int64_t i = 0; i < value_dim; i += V::kLanes) {
    const std::int64_t n = value_dim - i;
    const typename V::F value = sum == 0.0f ? V::zero() : V::mul(V::load_n(out + i, n), inverse);
    V::store_n(out + i, value, n);
  }
}

// All splits of all segments, one after the other.
template <class V>
inline void attend_tile(AttentionTile* tile, const AttentionArgs& args, std::int64_t kv_head) {
  const auto row = [&](const TileQuery& query) {
    return args.out + (query.token * args.heads + query.head) * args.value_dim;
  };
  for (std::int64_t s = 0; s < args.n_segments; ++s) {
    const KvSegment& segment = args.segments[s];
    for (std::int64_t begin = 0; begin < segment.n_keys; begin += kSplitKeys) {
      const Split split = {&segment, begin, smaller(begin + kSplitKeys, segment.n_keys)};
      attend_split<V>(tile, args, split, kv_head);
      for (std::int64_t q = 0; q < tile->n_queries; ++q) {
        TileQuery& query = tile->query[q];
        take_in<V>(tile->out + q * tile->out_width, query.max, query.sum, row(query),
                   &query.total_max, &query.total_sum, args.value_dim);
      }
    }
  }
  for (std::int64_t q = 0; q < tile->n_queries; ++q) {
    finish_row<V>(row(tile->query[q]), tile->query[q].total_sum, args.value_dim);
  }
  tile->n_queries = 0;
}

// Split number `index` of all segments.
inline Split split_of(const AttentionArgs& args, std::int64_t index) {
  const KvSegment* segment = args.segments;
  while (index >= splits_of(segment->n_keys)) index -= splits_of(segment++->n_keys);
  const std::int64_t begin = index * kSplitKeys;
  return {segment, begin, smaller(begin + kSplitKeys, segment->n_keys)};
}

// One split of the tile's queries, to args.partials.
template <class V>
inline void attend_partial(AttentionTile* tile, const AttentionArgs& args, std::int64_t kv_head,
                           std::int64_t index) {
  attend_split<V>(tile, args, split_of(args, index), kv_head);
  for (std::int64_t q = 0; q < tile->n_queries; ++q) {
    const TileQuery& query = tile->query[q];
    const std::int64_t row = (index * args.tokens + query.token) * args.heads + query.head;
    float* to = args.partials + row * partial_floats(args.value_dim);
    for (std::int64_t i = 0; i < args.value_dim; ++i) to[i] = tile->out[q * tile->out_width + i];
    to[args.value_dim] = query.max;
    to[args.value_dim + 1] = query.sum;
  }
  tile->n_queries = 0;
}

// Calls attend() for each tile full of queries, tokens [first, last) of the kv head's group.
template <class V, class Attend>
inline void for_tiles(AttentionTile* tile, const AttentionArgs& args, std::int64_t kv_head,
                      WorkRange tokens, const Attend& attend) {
  const std::int64_t group = args.heads / args.kv_heads;
  for (std::int64_t t = tokens.begin; t < tokens.end; ++t) {
    for (std::int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
      add_query<V>(tile, args, t, h);
      if (tile->n_queries == tile->most_queries) attend();
    }
  }
  if (tile->n_queries > 0) attend();
}

template <class V>
void attention(const AttentionArgs& args, WorkRange range) {
  AttentionTile tile;
  prepare_tile<V>(&tile, args);
  if (args.partials != nullptr) {
    const std::int64_t n = n_splits(args);
    for (std::int64_t item = range.begin; item < range.end; ++item) {
      for_tiles<V>(&tile, args, item / n, {0, args.tokens},
                   [&] { attend_partial<V>(&tile, args, item / n, item % n); });
    }
    return;
  }
  for (std::int64_t item = range.begin; item < range.end;) {
    const std::int64_t g = item / args.tokens, end = smaller(range.end, (g + 1) * args.tokens);
    for_tiles<V>(&tile, args, g, {item - g * args.tokens, end - g * args.tokens},
                 [&] { attend_tile<V>(&tile, args, g); });
    item = end;
  }
}

template <class V>
void merge_partials(const MergePartialsArgs& args, WorkRange range) {
  const std::int64_t stride = partial_floats(args.value_dim);
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    float* out = args.out + row * args.value_dim;
    float max = 0.0f, sum = 0.0f;
    for (std::int64_t s = 0; s < args.n_splits; ++s) {
      const float* partial = args.partials + (s * args.rows + row) * stride;
      take_in<V>(partial, partial[args.value_dim], partial[args.value_dim + 1], out, &max, &sum,
                 args.value_dim);
    }
    finish_row<V>(out, sum, args.value_dim);
  }
}

}  // namespace
}  // namespace windlass

// Attention of a few query rows over pages of cached keys and values, with the online softmax of
// Milakov and Gimelshein
// ("Online normalizer calculation for softmax", 2018) a block of keys at a time: the running (o, m,
// l) of a query takes in each block's partial by log-sum-exp, segment after segment, in list order.
// For inclusion by isa_*.cpp alone.
//
// All heads of one kv head's group, and all tokens of a call's range, share one tile of queries, so
// that a block of keys is widened to float once for all of them. What a query computes depends on
// its own position and the segments alone: blocks are cut at page borders and fixed counts, and
// each query adds up exactly the keys that it sees.
#pragma once

#include <cstdint>

#include "cpu_kernels/common_inl.h"
#include "cpu_kernels/elementwise_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

// Stack: 32 KiB of keys or values, 16 KiB of queries, 8 KiB of scores. Heads of up to 2048 fit
// (then four keys and two queries at a time).
inline constexpr std::int64_t kKeyTileFloats = 8192;
inline constexpr std::int64_t kQueryTileFloats = 4096;
inline constexpr std::int64_t kMaxBlockKeys = 64;
inline constexpr std::int64_t kMaxQueries = 32;

struct AttentionTile {
  alignas(64) float keys[kKeyTileFloats];       // [block keys, padded_dim]: K, then V
  alignas(64) float queries[kQueryTileFloats];  // [queries, padded_dim], times args.scale
  alignas(64) float scores[kMaxQueries][kMaxBlockKeys];
  float* out[kMaxQueries];                   // [value_dim] each: o, not yet divided by l
  float max[kMaxQueries], sum[kMaxQueries];  // m and l
  std::int64_t position[kMaxQueries];
  WorkRange visible[kMaxQueries];                  // keys of the block that the query sees
  std::int64_t n_queries, padded_dim, block_keys;  // padded_dim: of keys and values, the larger
};

// Largest block of keys of this head size that fits: a multiple of 4.
inline std::int64_t block_keys(std::int64_t padded_dim) {
  return smaller(kMaxBlockKeys, kKeyTileFloats / padded_dim / 4 * 4);
}

// Keys or values `range` of the block whose first lies at `from`, `dim` elements each.
template <class V, class Kv>
inline void load_keys(AttentionTile* tile, const std::byte* from, WorkRange range,
                      std::int64_t dim) {
  const std::uint8_t* bytes = reinterpret_cast<const std::uint8_t*>(from);
  for (std::int64_t k = range.begin; k < range.end; ++k) {
    Format<Kv::kType>::template dequantize<V>(bytes + k * dim * Kv::kBytes,
                                              tile->keys + k * tile->padded_dim, dim);
  }
  const std::int64_t end = round_up(range.end, 4) * tile->padded_dim;
  for (std::int64_t i = range.end * tile->padded_dim; i < end; ++i) {
    tile->keys[i] = 0.0f;  // dot_tile takes keys by fours
  }
}

template <class V, int T>
inline void score_queries(AttentionTile* tile, std::int64_t query, WorkRange range,
                          std::int64_t dim) {
  for (std::int64_t k = range.begin; k < range.end; k += 4) {
    float sums[T * 4];
    dot_tile<V, T>(tile->keys + k * tile->padded_dim, tile->padded_dim,
                   tile->queries + query * tile->padded_dim, tile->padded_dim, dim, sums);
    for (int t = 0; t < T; ++t) __builtin_memcpy(&tile->scores[query + t][k], sums + t * 4, 16);
  }
}

// dim: of a key, in whole vectors.
template <class V>
inline void score_block(AttentionTile* tile, WorkRange range, std::int64_t dim) {
  std::int64_t q = 0;
  for (; q + 4 <= tile->n_queries; q += 4) score_queries<V, 4>(tile, q, range, dim);
  switch (tile->n_queries - q) {
    case 3:
      score_queries<V, 3>(tile, q, range, dim);
      break;
    case 2:
      score_queries<V, 2>(tile, q, range, dim);
      break;
    case 1:
      score_queries<V, 1>(tile, q, range, dim);
      break;
    default:
      break;
  }
}

template <class V>
inline void cap_scores(float* scores, std::int64_t n, float cap) {
  for (std::int64_t i = 0; i < n; i += V::kLanes) {
    V::store_n(scores + i, soft_cap<V>(V::load_n(scores + i, n - i), V::set1(cap)), n - i);
  }
}

// Scores to weights exp(score - m); m, l and o take the block in.
template <class V>
inline void weigh_block(AttentionTile* tile, std::int64_t query, const AttentionArgs& args) {
  const std::int64_t n = tile->visible[query].end - tile->visible[query].begin;
  if (n <= 0) return;
  float* scores = tile->scores[query] + tile->visible[query].begin;
  if (args.soft_cap > 0) cap_scores<V>(scores, n, args.soft_cap);
  typename V::F largest = V::set1(tile->max[query]);
  std::int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) largest = V::max(largest, V::load(scores + i));
  float max = V::max_lane(largest);
  for (; i < n; ++i) max = scores[i] > max ? scores[i] : max;

  typename V::F sum = V::zero();
  for (i = 0; i < n; i += V::kLanes) {
    const typename V::F weight = exp<V>(V::sub(V::load_n(scores + i, n - i), V::set1(max)));
    V::store_n(scores + i, weight, n - i);
    sum = V::add(sum, V::load_n(scores + i, n - i));
  }
  const bool first = tile->sum[query] == 0.0f;
  const float old = first ? 0.0f : V::first(exp<V>(V::set1(tile->max[query] - max)));
  tile->sum[query] = tile->sum[query] * old + V::sum(sum);
  tile->max[query] = max;
  if (old == 1.0f) return;
  float* out = tile->out[query];
  for (i = 0; i < args.value_dim; i += V::kLanes) {
    const std::int64_t left = args.value_dim - i;
    V::store_n(out + i, first ? V::zero() : V::mul(V::load_n(out + i, left), V::set1(old)), left);
  }
}

// o of queries [query, query + Q) += weights * values for keys [begin, end), D vectors of the head
// from `column` on.
template <class V, int Q, int D>
inline void add_values(AttentionTile* tile, std::int64_t query, std::int64_t column,
                       std::int64_t begin, std::int64_t end, std::int64_t head_dim) {
  typename V::F sum[Q][D];
  for (int q = 0; q < Q; ++q) {
    for (int d = 0; d < D; ++d) {
      const std::int64_t at = column + d * V::kLanes;
      sum[q][d] = V::load_n(tile->out[query + q] + at, head_dim - at);
    }
  }
  for (std::int64_t k = begin; k < end; ++k) {
    const float* values = tile->keys + k * tile->padded_dim + column;
    typename V::F value[D];
    for (int d = 0; d < D; ++d) value[d] = V::load(values + d * V::kLanes);
    for (int q = 0; q < Q; ++q) {
      const typename V::F weight = V::set1(tile->scores[query + q][k]);
      for (int d = 0; d < D; ++d) sum[q][d] = V::fma(weight, value[d], sum[q][d]);
    }
  }
  for (int q = 0; q < Q; ++q) {
    for (int d = 0; d < D; ++d) {
      const std::int64_t at = column + d * V::kLanes;
      V::store_n(tile->out[query + q] + at, sum[q][d], head_dim - at);
    }
  }
}

template <class V, int Q>
inline void add_values_of(AttentionTile* tile, std::int64_t query, std::int64_t begin,
                          std::int64_t end, std::int64_t head_dim) {
  if (begin >= end) return;
  std::int64_t column = 0;
  for (; column + 3 * V::kLanes < head_dim; column += 4 * V::kLanes) {
    add_values<V, Q, 4>(tile, query, column, begin, end, head_dim);
  }
  for (; column < head_dim; column += V::kLanes) {
    add_values<V, Q, 1>(tile, query, column, begin, end, head_dim);
  }
}

// Q queries over the keys that all of them see, each over the rest of its own before and after: in
// ascending order of keys for every query, whoever shares its group.
template <class V, int Q>
inline void add_values_group(AttentionTile* tile, std::int64_t query, std::int64_t head_dim) {
  const WorkRange* visible = tile->visible + query;
  WorkRange common = visible[0];
  for (int q = 1; q < Q; ++q) {
    common.begin = larger(common.begin, visible[q].begin);
    common.end = smaller(common.end, visible[q].end);
  }
  common.end = larger(common.begin, common.end);
  for (int q = 0; q < Q; ++q) {
    const std::int64_t end = smaller(visible[q].end, common.begin);
    add_values_of<V, 1>(tile, query + q, visible[q].begin, end, head_dim);
  }
  add_values_of<V, Q>(tile, query, common.begin, common.end, head_dim);
  for (int q = 0; q < Q; ++q) {
    const std::int64_t begin = larger(visible[q].begin, common.end);
    add_values_of<V, 1>(tile, query + q, begin, visible[q].end, head_dim);
  }
}

template <class V>
inline void add_values_block(AttentionTile* tile, std::int64_t head_dim) {
  std::int64_t q = 0;
  for (; q + 4 <= tile->n_queries; q += 4) add_values_group<V, 4>(tile, q, head_dim);
  switch (tile->n_queries - q) {
    case 3:
      add_values_group<V, 3>(tile, q, head_dim);
      break;
    case 2:
      add_values_group<V, 2>(tile, q, head_dim);
      break;
    case 1:
      add_values_group<V, 1>(tile, q, head_dim);
      break;
    default:
      break;
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
    WorkRange& visible = tile->visible[q];
    const std::int64_t end = tile->position[q] - block_position + 1;
    visible.begin = larger(0, first_seen(args, tile->position[q]) - block_position);
    visible.end = segment.causal ? smaller(end, n) : n;
    if (visible.begin >= visible.end) visible = {0, 0};
    if (visible.end == 0) continue;
    seen.begin = smaller(seen.begin, visible.begin);
    seen.end = larger(seen.end, visible.end);
  }
  return seen;
}

// The first key of the page from which on some query of the tile sees keys: pages that lie before
// every window are not visited.
inline std::int64_t first_page_key(const AttentionTile* tile, const AttentionArgs& args,
                                   const KvSegment& segment) {
  std::int64_t first = segment.n_keys;
  for (std::int64_t q = 0; q < tile->n_queries; ++q) {
    first = smaller(first, first_seen(args, tile->position[q]) - segment.first_position);
  }
  return larger(first, 0) / args.page_tokens * args.page_tokens;
}

template <class V, class Kv>
inline void attend_segment(AttentionTile* tile, const AttentionArgs& args, const KvSegment& segment,
                           std::int64_t kv_head) {
  const std::int64_t key_bytes = args.key_dim * Kv::kBytes;
  const std::int64_t value_bytes = args.value_dim * Kv::kBytes;
  const std::int64_t values_offset = args.kv_heads * args.page_tokens * key_bytes;
  const std::int64_t key_width = round_up(args.key_dim, V::kLanes);
  std::int64_t n = 0;
  for (std::int64_t first = first_page_key(tile, args, segment); first < segment.n_keys;
       first += n) {
    const std::int64_t slot = first % args.page_tokens;
    n = smaller(smaller(tile->block_keys, args.page_tokens - slot), segment.n_keys - first);
    WorkRange seen = mark_visible(tile, args, segment, first, n);
    if (seen.begin >= seen.end) continue;
    seen.begin = seen.begin / 4 * 4;  // dot_tile takes keys by fours
    const std::byte* keys = segment.pages[first / args.page_tokens];
    const std::int64_t row = kv_head * args.page_tokens + slot;
    load_keys<V, Kv>(tile, keys + row * key_bytes, seen, args.key_dim);
    score_block<V>(tile, seen, key_width);
    for (std::int64_t q = 0; q < tile->n_queries; ++q) weigh_block<V>(tile, q, args);
    if (!args.values_in_keys) {  // else the tile holds them
      load_keys<V, Kv>(tile, keys + values_offset + row * value_bytes, seen, args.value_dim);
    }
    add_values_block<V>(tile, args.value_dim);
  }
}

template <class V>
inline void start_query(AttentionTile* tile, const AttentionArgs& args, std::int64_t token,
                        std::int64_t head) {
  const float* query = vector_at(args.q, token, head);
  const std::int64_t q = tile->n_queries++;
  tile->out[q] = args.out + (token * args.heads + head) * args.value_dim;
  tile->max[q] = -__builtin_inff();
  tile->sum[q] = 0.0f;
  tile->position[q] = args.positions[token];
  for (std::int64_t i = 0; i < args.key_dim; i += V::kLanes) {
    V::store(tile->queries + q * tile->padded_dim + i,
             V::mul(V::load_n(query + i, args.key_dim - i), V::set1(args.scale)));
  }
  for (std::int64_t i = 0; i < args.value_dim; i += V::kLanes) {
    V::store_n(tile->out[q] + i, V::zero(), args.value_dim - i);
  }
}

template <class V, class Kv>
inline void attend_tile(AttentionTile* tile, const AttentionArgs& args, std::int64_t kv_head) {
  for (std::int64_t s = 0; s < args.n_segments; ++s) {
    attend_segment<V, Kv>(tile, args, args.segments[s], kv_head);
  }
  for (std::int64_t q = 0; q < tile->n_queries; ++q) {
    if (tile->sum[q] == 0.0f) continue;  // saw no key: zeros
    const typename V::F inverse = V::set1(1.0f / tile->sum[q]);
    for (std::int64_t i = 0; i < args.value_dim; i += V::kLanes) {
      const std::int64_t n = args.value_dim - i;
      V::store_n(tile->out[q] + i, V::mul(V::load_n(tile->out[q] + i, n), inverse), n);
    }
  }
  tile->n_queries = 0;
}

template <class V, class Kv>
void attention(const AttentionArgs& args, WorkRange range) {
  AttentionTile tile;
  tile.n_queries = 0;
  tile.padded_dim = round_up(larger(args.key_dim, args.value_dim), V::kLanes);
  tile.block_keys = block_keys(tile.padded_dim);
  const std::int64_t tile_queries = smaller(kMaxQueries, kQueryTileFloats / tile.padded_dim);
  const std::int64_t group = args.heads / args.kv_heads;
  for (std::int64_t g = 0; g < args.kv_heads; ++g) {
    // Tokens t of the range's items t * kv_heads + g.
    const std::int64_t first = (range.begin - g + args.kv_heads - 1) / args.kv_heads;
    const std::int64_t last = (range.end - g + args.kv_heads - 1) / args.kv_heads;
    for (std::int64_t t = first; t < last; ++t) {
      for (std::int64_t h = g * group; h < (g + 1) * group; ++h) {
        start_query<V>(&tile, args, t, h);
        if (tile.n_queries == tile_queries) attend_tile<V, Kv>(&tile, args, g);
      }
    }
    if (tile.n_queries > 0) attend_tile<V, Kv>(&tile, args, g);
  }
}

}  // namespace
}  // namespace windlass

// The two products of attention as register tiles: scores = Q K^T with keys in the lanes, and
// o += P V with the elements of a value in the lanes. A sum's order depends on the head's size and
// on which keys a query sees, whatever other queries share its tile. For inclusion by isa_*.cpp
// alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/attention_tile_inl.h"

namespace windlass {
namespace {

// A register tile: so many queries by so many vectors. With 16 lanes, 24 sums, 4 vectors and a
// broadcast fit in 32 registers; with 8 lanes, 12 sums, 2 vectors and a broadcast in 16.
template <class V>
inline constexpr int kTileQueries = V::kLanes == 1 ? 2 : 6;
template <class V>
inline constexpr int kTileVectors = V::kLanes == 16 ? 4 : 2;

// Calls body<T>(q) for queries q on, T = kTileQueries at a time and then what is left.
template <int T, class Body>
inline void last_queries(std::int64_t q, std::int64_t n, const Body& body) {
  if constexpr (T > 0) {
    if (n == T) {
      body.template operator()<T>(q);
    } else {
      last_queries<T - 1>(q, n, body);
    }
  }
}
template <class V, class Body>
inline void for_queries(std::int64_t n, const Body& body) {
  constexpr int kTile = kTileQueries<V>;
  std::int64_t q = 0;
  for (; q + kTile <= n; q += kTile) body.template operator()<kTile>(q);
  last_queries<kTile - 1>(q, n - q, body);
}

// Scores of T queries and the keys in N vectors from number `vector` of the block on: from floats,
// element by element.
template <class V, int T, int N>
[[gnu::always_inline]] inline void score_floats(AttentionTile* tile, std::int64_t query,
                                                std::int64_t vector, Chunk chunk) {
  constexpr std::int64_t kGroupVectors = kKvGroupKeys / V::kLanes;
  const float* keys[N];
  for (int v = 0; v < N; ++v) {
    const std::int64_t g = (vector + v) / kGroupVectors, lane = (vector + v) % kGroupVectors;
    keys[v] = tile->block + g * chunk.n * kKvGroupKeys + lane * V::kLanes;
  }
  const float* queries = tile->queries + query * tile->key_dim + chunk.begin;
  typename V::F sum[T][N];
  for (int t = 0; t < T; ++t) {
    const float* scores = tile->scores[query + t] + vector * V::kLanes;
    for (int v = 0; v < N; ++v) {
      sum[t][v] = chunk.begin == 0 ? V::zero() : V::load(scores + v * V::kLanes);
    }
  }
  for (std::int64_t d = 0; d < chunk.n; ++d) {
    typename V::F key[N];
    for (int v = 0; v < N; ++v) key[v] = V::load(keys[v] + d * kKvGroupKeys);
    for (int t = 0; t < T; ++t) {
      const typename V::F one = V::set1(queries[t * tile->key_dim + d]);
      for (int v = 0; v < N; ++v) sum[t][v] = V::fma(key[v], one, sum[t][v]);
    }
  }
  for (int t = 0; t < T; ++t) {
    float* scores = tile->scores[query + t] + vector * V::kLanes;
    for (int v = 0; v < N; ++v) V::store(scores + v * V::kLanes, sum[t][v]);
  }
}

// The same from codes: integer dot products of 32 elements, exact, then scaled.
template <class V, int T, int N>
[[gnu::always_inline]] inline void score_codes(AttentionTile* tile, std::int64_t query,
                                               std::int64_t vector, Chunk chunk) {
  constexpr std::int64_t kGroupVectors = kKvGroupKeys / V::kLanes;
  const std::int64_t blocks = chunk.n / kKvBlock;
  const std::int8_t* keys[N];
  const float* key_scales[N];
  for (int v = 0; v < N; ++v) {
    const std::int64_t g = (vector + v) / kGroupVectors, lane = (vector + v) % kGroupVectors;
    keys[v] = tile->key_codes + g * chunk.n * kKvGroupKeys + lane * V::kLanes * 4;
    key_scales[v] = tile->key_scales + g * blocks * kKvGroupKeys + lane * V::kLanes;
  }
  for (std::int64_t b = 0; b < blocks; ++b) {
    const std::int64_t first = query * tile->key_dim + chunk.begin + b * kKvBlock;
    typename V::I dot[T][N];
    for (int t = 0; t < T; ++t) {
      const std::int32_t start = tile->code_starts[(first + t * tile->key_dim) / kKvBlock];
      for (int v = 0; v < N; ++v) dot[t][v] = V::set1_i(start);
    }
    for (std::int64_t j = 0; j < kKvBlock; j += 4) {
      typename V::B key[N];
      for (int v = 0; v < N; ++v) key[v] = V::load_b(keys[v] + (b * kKvBlock + j) * kKvGroupKeys);
      for (int t = 0; t < T; ++t) {
        const typename V::B four = V::broadcast4(tile->codes + first + t * tile->key_dim + j);
        for (int v = 0; v < N; ++v) dot[t][v] = V::dot8(dot[t][v], key[v], four);
      }
    }
    for (int v = 0; v < N; ++v) {
      const typename V::F key_scale = V::load(key_scales[v] + b * kKvGroupKeys);
      for (int t = 0; t < T; ++t) {
        float* score = tile->scores[query + t] + (vector + v) * V::kLanes;
        const typename V::F scale =
            V::set1(tile->code_scales[(first + t * tile->key_dim) / kKvBlock]);
        const typename V::F before = chunk.begin + b == 0 ? V::zero() : V::load(score);
        V::store(score, V::fma(V::mul(V::to_f32(dot[t][v]), key_scale), scale, before));
      }
    }
  }
}

template <class V, int N>
inline void score_vectors(AttentionTile* tile, std::int64_t vector, Chunk chunk) {
  if (tile->coded) {
    for_queries<V>(tile->n_queries,
                   [&]<int T>(std::int64_t q) { score_codes<V, T, N>(tile, q, vector, chunk); });
  } else {
    for_queries<V>(tile->n_queries,
                   [&]<int T>(std::int64_t q) { score_floats<V, T, N>(tile, q, vector, chunk); });
  }
}

// Scores of all queries for the keys of `groups`; the chunk's part of them.
template <class V>
inline void score_block(AttentionTile* tile, WorkRange groups, Chunk chunk) {
  constexpr std::int64_t kGroupVectors = kKvGroupKeys / V::kLanes;
  std::int64_t v = groups.begin * kGroupVectors;
  const std::int64_t end = groups.end * kGroupVectors;
  for (; v + kTileVectors<V> <= end; v += kTileVectors<V>) {
    score_vectors<V, kTileVectors<V>>(tile, v, chunk);
  }
  for (; v < end; ++v) score_vectors<V, 1>(tile, v, chunk);
}

// o of queries [query, query + T) += weights * values of `keys`, N vectors of the chunk from
// `column` on.
template <class V, int T, int N>
[[gnu::always_inline]] inline void add_values(AttentionTile* tile, std::int64_t query,
                                              WorkRange keys, Chunk chunk, std::int64_t column) {
  const std::int64_t width = round_up(chunk.n, V::kLanes);
  float* out = tile->out + query * tile->out_width + chunk.begin + column;
  typename V::F sum[T][N];
  for (int t = 0; t < T; ++t) {
    for (int v = 0; v < N; ++v) sum[t][v] = V::load(out + t * tile->out_width + v * V::kLanes);
  }
  for (std::int64_t k = keys.begin; k < keys.end; ++k) {
    const float* values = tile->block + k * width + column;
    typename V::F value[N];
    for (int v = 0; v < N; ++v) value[v] = V::load(values + v * V::kLanes);
    for (int t = 0; t < T; ++t) {
      const typename V::F weight = V::set1(tile->scores[query + t][k]);
      for (int v = 0; v < N; ++v) sum[t][v] = V::fma(weight, value[v], sum[t][v]);
    }
  }
  for (int t = 0; t < T; ++t) {
    for (int v = 0; v < N; ++v) V::store(out + t * tile->out_width + v * V::kLanes, sum[t][v]);
  }
}

// T queries over the keys that all of them see, each over the rest of its own before and after: in
// ascending order of keys for every query, whoever shares its tile.
template <class V, int T, int N>
inline void add_seen_values(AttentionTile* tile, std::int64_t query, Chunk chunk,
                            std::int64_t column) {
  WorkRange common = tile->query[query].visible;
  for (int t = 1; t < T; ++t) {
    common.begin = larger(common.begin, tile->query[query + t].visible.begin);
    common.end = smaller(common.end, tile->query[query + t].visible.end);
  }
  common.end = larger(common.begin, common.end);
  for (int t = 0; t < T; ++t) {
    const WorkRange seen = tile->query[query + t].visible;
    const WorkRange before = {seen.begin, smaller(seen.end, common.begin)};
    if (before.begin < before.end) add_values<V, 1, N>(tile, query + t, before, chunk, column);
  }
  if (common.begin < common.end) add_values<V, T, N>(tile, query, common, chunk, column);
  for (int t = 0; t < T; ++t) {
    const WorkRange seen = tile->query[query + t].visible;
    const WorkRange after = {larger(seen.begin, common.end), seen.end};
    if (after.begin < after.end) add_values<V, 1, N>(tile, query + t, after, chunk, column);
  }
}

template <class V>
inline void add_values_block(AttentionTile* tile, Chunk chunk) {
  constexpr std::int64_t kColumns = kTileVectors<V> * V::kLanes;
  std::int64_t column = 0;
  for (; column + kColumns <= chunk.n; column += kColumns) {
    for_queries<V>(tile->n_queries, [&]<int T>(std::int64_t q) {
      add_seen_values<V, T, kTileVectors<V>>(tile, q, chunk, column);
    });
  }
  for (; column < chunk.n; column += V::kLanes) {
    for_queries<V>(tile->n_queries, [&]<int T>(std::int64_t q) {
      add_seen_values<V, T, 1>(tile, q, chunk, column);
    });
  }
}

}  // namespace
}  // namespace windlass

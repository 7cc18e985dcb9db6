// What attention works on at a time: a tile of queries, and a block of keys or values that is
// turned to floats (or, of q8_0 keys, to codes) once for all of them. For inclusion by isa_*.cpp
// alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/elementwise_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

// A block of keys or values takes up to 64 * 128 floats, 32 KiB, which stays in L1 while every
// query of the tile meets it; of wider heads, 128 elements at a time. 96 queries of 128 elements,
// their o and their scores, 48 + 48 + 24 KiB, stream past it from L2. All in all 170 KiB of stack.
inline constexpr std::int64_t kBlockKeys = 64;
inline constexpr std::int64_t kBlockGroups = kBlockKeys / kKvGroupKeys;
inline constexpr std::int64_t kChunkDims = 128;
inline constexpr std::int64_t kMostQueries = 96;
inline constexpr std::int64_t kQueryFloats = kMostQueries * 128;

// Elements [begin, begin + n) of a head.
struct Chunk {
  std::int64_t begin, n;
};

// A query: where its result goes, and m and l of the split at hand and of those before it.
struct TileQuery {
  std::int64_t token, head, position;
  float max, sum, total_max, total_sum;
  WorkRange visible;  // keys of the block that it sees
};

struct AttentionTile {
  // K: [groups][chunk][16 keys]; V: [keys][chunk, in whole vectors].
  alignas(64) float block[kBlockKeys * kChunkDims];
  alignas(64) std::int8_t key_codes[kBlockKeys * kChunkDims];  // [groups][chunk / 4][16 keys][4]
  alignas(64) float key_scales[kBlockKeys * kChunkDims / kKvBlock];  // [groups][chunk / 32][16]
  alignas(64) float queries[kQueryFloats];  // [queries, key_dim], times args.scale
  alignas(64) float out[kQueryFloats];      // [queries, out_width]: o of the split
  alignas(64) float scores[kMostQueries][kBlockKeys];
  // The q8 form of queries: codes, and of each block of 32 the scale and what an integer dot
  // product with key codes starts from.
  alignas(64) std::int8_t codes[kQueryFloats];
  float code_scales[kQueryFloats / kKvBlock];
  std::int32_t code_starts[kQueryFloats / kKvBlock];
  TileQuery query[kMostQueries];
  std::int64_t n_queries, most_queries, key_dim, out_width;
  bool coded;  // keys are met as codes
};

inline std::int64_t chunk_of(std::int64_t dim, std::int64_t begin) {
  return smaller(dim - begin, kChunkDims);
}

template <class V>
inline void prepare_tile(AttentionTile* tile, const AttentionArgs& args) {
  tile->n_queries = 0;
  tile->key_dim = args.key_dim;
  tile->out_width = round_up(args.value_dim, 16);
  tile->most_queries =
      smaller(kMostQueries, kQueryFloats / larger(round_up(args.key_dim, 16), tile->out_width));
  tile->coded = args.types.keys == KvType::kQ8_0 && !args.exact_queries;
}

template <class V>
inline void code_query(AttentionTile* tile, std::int64_t q) {
  for (std::int64_t i = 0; i < tile->key_dim; i += kKvBlock) {
    const std::int64_t at = q * tile->key_dim + i;
    Q8Block block;
    quantize_block<V>(tile->queries + at, kKvBlock, &block);
    __builtin_memcpy(tile->codes + at, block.values, sizeof block.values);
    tile->code_scales[at / kKvBlock] = block.scale;
    tile->code_starts[at / kKvBlock] = V::kZeroPoint8 != 0 ? block.start - kQ8Magic : 0;
  }
}

template <class V>
inline void add_query(AttentionTile* tile, const AttentionArgs& args, std::int64_t token,
                      std::int64_t head) {
  const float* from = vector_at(args.q, token, head);
  const std::int64_t q = tile->n_queries++;
  TileQuery& query = tile->query[q];
  query.token = token;
  query.head = head;
  query.position = args.positions[token];
  query.total_sum = 0.0f;
  float* to = tile->queries + q * args.key_dim;
  for (std::int64_t i = 0; i < args.key_dim; i += V::kLanes) {
    const std::int64_t n = args.key_dim - i;
    V::store_n(to + i, V::mul(V::load_n(from + i, n), V::set1(args.scale)), n);
  }
  if (tile->coded) code_query<V>(tile, q);
}

// n elements in GGUF's layout of the type; whole vectors are written.
template <class V>
inline void widen(KvType type, const std::byte* from, float* to, std::int64_t n) {
  const std::uint8_t* bytes = reinterpret_cast<const std::uint8_t*>(from);
  switch (type) {
    case KvType::kF32:
      return Format<DType::kF32>::dequantize<V>(bytes, to, n);
    case KvType::kF16:
      return Format<DType::kF16>::dequantize<V>(bytes, to, n);
    case KvType::kBF16:
      return Format<DType::kBF16>::dequantize<V>(bytes, to, n);
    case KvType::kQ8_0:
      return Format<DType::kQ8_0>::dequantize<V>(bytes, to, n);
  }
}

// What another core or DRAM has of the next block is asked for while this one is computed.
inline void prefetch(const std::byte* from, std::int64_t size_bytes) {
  for (std::int64_t i = 0; i < size_bytes; i += 64) __builtin_prefetch(from + i, 0, 2);
}

// Scales of one group of q8_0 keys: of block b, those of kLanes keys from `lane` on.
template <class V>
inline typename V::F group_scales(const std::byte* group, std::int64_t key_dim, std::int64_t b,
                                  std::int64_t lane) {
  return V::load_f16(group + kKvGroupKeys * key_dim + (b * kKvGroupKeys + lane) * 2);
}

// A chunk of one group of keys as floats [chunk][16 keys].
template <class V>
inline void widen_group(KvType type, const std::byte* group, std::int64_t key_dim, Chunk chunk,
                        float* to) {
  if (type != KvType::kQ8_0) {
    return widen<V>(type, group + kv_bytes(type, chunk.begin * kKvGroupKeys), to,
                    chunk.n * kKvGroupKeys);
  }
  for (std::int64_t d = 0; d < chunk.n; d += 4) {
    for (std::int64_t lane = 0; lane < kKvGroupKeys; lane += V::kLanes) {
      const typename V::F scales =
          group_scales<V>(group, key_dim, (chunk.begin + d) / kKvBlock, lane);
      const typename V::I four = V::load_b(group + (chunk.begin + d) * kKvGroupKeys + lane * 4);
      for (int j = 0; j < 4; ++j) {
        const typename V::I code = V::shift_right_signed(V::shift_left(four, 24 - 8 * j), 24);
        V::store(to + (d + j) * kKvGroupKeys + lane, V::mul(V::to_f32(code), scales));
      }
    }
  }
}

// The same of q8_0 keys as codes and scales.
template <class V>
inline void copy_codes(AttentionTile* tile, std::int64_t g, const std::byte* group, Chunk chunk) {
  std::int8_t* codes = tile->key_codes + g * chunk.n * kKvGroupKeys;
  const std::byte* from = group + chunk.begin * kKvGroupKeys;
  for (std::int64_t i = 0; i < chunk.n * kKvGroupKeys; i += 4 * V::kLanes) {
    V::store_b(codes + i, V::prepare8(V::load_b(from + i)));
  }
  const std::int64_t blocks = chunk.n / kKvBlock;
  float* scales = tile->key_scales + g * blocks * kKvGroupKeys;
  for (std::int64_t b = 0; b < blocks; ++b) {
    for (std::int64_t lane = 0; lane < kKvGroupKeys; lane += V::kLanes) {
      V::store(scales + b * kKvGroupKeys + lane,
               group_scales<V>(group, tile->key_dim, chunk.begin / kKvBlock + b, lane));
    }
  }
}

// Groups [groups.begin, groups.end) of the block whose first lies at `keys`; `next` is the next
// block, or null.
template <class V>
inline void load_keys(AttentionTile* tile, const AttentionArgs& args, const std::byte* keys,
                      const std::byte* next, WorkRange groups, Chunk chunk) {
  const KvType type = args.types.keys;
  const std::int64_t group_bytes = kKvGroupKeys * kv_bytes(type, args.key_dim);
  for (std::int64_t g = groups.begin; g < groups.end; ++g) {
    if (next != nullptr && chunk.begin == 0) prefetch(next + g * group_bytes, group_bytes);
    const std::byte* group = keys + g * group_bytes;
    if (tile->coded) {
      copy_codes<V>(tile, g, group, chunk);
    } else {
      widen_group<V>(type, group, args.key_dim, chunk, tile->block + g * chunk.n * kKvGroupKeys);
    }
  }
}

// Values `keys` of the block whose first lies at `values`.
template <class V>
inline void load_values(AttentionTile* tile, const AttentionArgs& args, const std::byte* values,
                        const std::byte* next, WorkRange keys, Chunk chunk) {
  const std::int64_t row_bytes = kv_bytes(args.types.values, args.value_dim);
  const std::int64_t width = round_up(chunk.n, V::kLanes);
  const std::int64_t begin = kv_bytes(args.types.values, chunk.begin);
  for (std::int64_t k = keys.begin; k < keys.end; ++k) {
    if (next != nullptr && chunk.begin == 0) prefetch(next + k * row_bytes, row_bytes);
    widen<V>(args.types.values, values + k * row_bytes + begin, tile->block + k * width, chunk.n);
  }
}

// The same where values are the beginnings of keys: [chunk][16 keys] of each group, transposed.
template <class V>
inline void load_values_of_keys(AttentionTile* tile, const AttentionArgs& args,
                                const std::byte* keys, WorkRange groups, Chunk chunk) {
  const std::int64_t group_bytes = kKvGroupKeys * kv_bytes(args.types.keys, args.key_dim);
  const std::int64_t width = round_up(chunk.n, V::kLanes);
  alignas(64) float group[kChunkDims * kKvGroupKeys];
  for (std::int64_t g = groups.begin; g < groups.end; ++g) {
    widen_group<V>(args.types.keys, keys + g * group_bytes, args.key_dim, chunk, group);
    for (std::int64_t d = 0; d < chunk.n; d += V::kLanes) {
      const std::uint8_t* rows[V::kLanes];
      for (std::int64_t lane = 0; lane < V::kLanes; ++lane) {
        rows[lane] = reinterpret_cast<const std::uint8_t*>(group + smaller(d + lane, chunk.n - 1) *
                                                                       kKvGroupKeys);
      }
      for (std::int64_t four = 0; four < kKvGroupKeys; four += 4) {
        typename V::B columns[4];
        V::load_rows16(rows, four * 4, columns);
        for (int j = 0; j < 4; ++j) {
          V::store_b(tile->block + (g * kKvGroupKeys + four + j) * width + d, columns[j]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace windlass

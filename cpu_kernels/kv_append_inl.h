// Keys and values into pages of the KV cache, in the types and the layout that op_args.h states.
// For inclusion by isa_*.cpp alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/elementwise_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

template <class V>
inline void store_halves(const float* from, std::byte* to, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) V::store_f16(to + i * 2, V::load(from + i));
  if (i >= n) return;
  alignas(64) std::byte last[V::kLanes * 2];
  V::store_f16(last, V::load_n(from + i, n - i));
  __builtin_memcpy(to + i * 2, last, static_cast<std::size_t>((n - i) * 2));
}

// To nearest even; NaNs stay NaN.
inline void store_bf16(const float* from, std::byte* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, from + i, sizeof bits);
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    bits = nan ? bits | 0x400000u : bits + 0x7fffu + ((bits >> 16) & 1u);
    const std::uint16_t high = static_cast<std::uint16_t>(bits >> 16);
    __builtin_memcpy(to + i * 2, &high, sizeof high);
  }
}

template <class V>
inline void store_q8_0(const float* from, std::byte* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += kKvBlock, to += kv_bytes(KvType::kQ8_0, kKvBlock)) {
    Q8Block block;
    quantize_block<V>(from + i, kKvBlock, &block);
    store_halves<V>(&block.scale, to, 1);
    __builtin_memcpy(to + 2, block.values, sizeof block.values);
  }
}

// One key or value in GGUF's layout of its type.
template <class V>
inline void encode_row(KvType type, const float* from, std::byte* to, std::int64_t n) {
  switch (type) {
    case KvType::kF32:
      __builtin_memcpy(to, from, static_cast<std::size_t>(4 * n));
      return;
    case KvType::kF16:
      return store_halves<V>(from, to, n);
    case KvType::kBF16:
      return store_bf16(from, to, n);
    case KvType::kQ8_0:
      return store_q8_0<V>(from, to, n);
  }
}

// n pieces of kBytes, each kKvGroupKeys pieces behind the one before.
template <int kBytes>
inline void scatter(const std::byte* from, std::byte* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    __builtin_memcpy(to + i * kKvGroupKeys * kBytes, from + i * kBytes, kBytes);
  }
}

// Key number `lane` of a group, from its row.
inline void scatter_key(KvType type, const std::byte* row, std::byte* group, std::int64_t lane,
                        std::int64_t dim) {
  switch (type) {
    case KvType::kF32:
      return scatter<4>(row, group + lane * 4, dim);
    case KvType::kF16:
    case KvType::kBF16:
      return scatter<2>(row, group + lane * 2, dim);
    case KvType::kQ8_0:
      break;
  }
  std::byte* scales = group + kKvGroupKeys * dim;
  for (std::int64_t b = 0; b < dim / kKvBlock; ++b, row += kv_bytes(KvType::kQ8_0, kKvBlock)) {
    __builtin_memcpy(scales + (b * kKvGroupKeys + lane) * 2, row, 2);
    scatter<4>(row + 2, group + (b * kKvBlock * kKvGroupKeys) + lane * 4, kKvBlock / 4);
  }
}

template <class V>
void kv_append(const KvAppendArgs& args, WorkRange range) {
  const std::int64_t key_bytes = kv_bytes(args.types.keys, args.key_dim);
  const std::int64_t value_bytes = kv_bytes(args.types.values, args.value_dim);
  for (std::int64_t t = range.begin; t < range.end; ++t) {
    const std::int64_t slot = (args.first_slot + t) % args.page_tokens;
    const std::int64_t lane = slot % kKvGroupKeys;
    std::byte* keys = args.pages[(args.first_slot + t) / args.page_tokens];
    std::byte* values = keys + args.kv_heads * args.page_tokens * key_bytes;
    for (std::int64_t g = 0; g < args.kv_heads; ++g) {
      const std::int64_t row = g * args.page_tokens + slot;
      alignas(64) std::byte key[kMostHeadDim * 4];
      encode_row<V>(args.types.keys, vector_at(args.k, t, g), key, args.key_dim);
      scatter_key(args.types.keys, key, keys + (row - lane) * key_bytes, lane, args.key_dim);
      if (args.values_in_keys) continue;
      encode_row<V>(args.types.values, vector_at(args.v, t, g), values + row * value_bytes,
                    args.value_dim);
    }
  }
}

}  // namespace
}  // namespace windlass

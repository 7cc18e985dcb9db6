// Keys and values into pages of the KV cache: a warp for 32 elements of a key or value.
#include "kernels/bf16.h"
#include "kernels/device_words.h"
#include "kernels/families.h"
#include "kernels/q8_code.h"
#include "kernels/vectors.h"

namespace windlass {
namespace {

constexpr int kWarps = 4;  // of a CUDA block
static_assert(kKvBlock == kWarpLanes);

// Of one token: so many pieces of 32 elements a key and a value have, the last maybe shorter.
struct KvPieces {
  std::int64_t first_token, of_key, of_value, all;
  std::int64_t key_bytes, value_bytes;  // of one key, one value
};

__device__ void store_number(KvType type, std::byte* to, std::int64_t index, float x) {
  if (type == KvType::kF32) {
    reinterpret_cast<float*>(to)[index] = x;
  } else {
    reinterpret_cast<std::uint16_t*>(to)[index] =
        type == KvType::kF16 ? half_of_f32(x) : bf16_of_f32(x);
  }
}

// Element i of key number `lane` of a group of keys, which lie side by side.
__device__ void store_key(KvType type, std::byte* group, std::int64_t lane, std::int64_t dim,
                          std::int64_t i, float x) {
  if (type != KvType::kQ8_0) {
    if (i < dim) store_number(type, group, i * kKvGroupKeys + lane, x);
    return;
  }
  float scale;
  const int code = q8_code(x, &scale);
  group[(i / 4 * kKvGroupKeys + lane) * 4 + i % 4] = static_cast<std::byte>(code);
  auto* scales = reinterpret_cast<std::uint16_t*>(group + kKvGroupKeys * dim);
  if (i % kKvBlock == 0) scales[i / kKvBlock * kKvGroupKeys + lane] = half_of_f32(scale);
}

// Element i of a value, in GGUF's layout.
__device__ void store_value(KvType type, std::byte* row, std::int64_t dim, std::int64_t i,
                            float x) {
  if (type != KvType::kQ8_0) {
    if (i < dim) store_number(type, row, i, x);
    return;
  }
  float scale;
  const int code = q8_code(x, &scale);
  std::byte* block = row + i / kKvBlock * (kKvBlock + 2);
  if (i % kKvBlock == 0) *reinterpret_cast<std::uint16_t*>(block) = half_of_f32(scale);
  block[2 + i % kKvBlock] = static_cast<std::byte>(code);
}

__global__ void kv_append_kernel(KvAppendArgs args, KvPieces pieces) {
  const std::int64_t blocks = (pieces.all + kWarps - 1) / kWarps;  // CUDA blocks for a token
  const std::int64_t token = pieces.first_token + blockIdx.x / blocks;
  const std::int64_t item = blockIdx.x % blocks * kWarps + threadIdx.x / kWarpLanes;
  if (item >= pieces.all) return;
  const std::int64_t head = item / (pieces.of_key + pieces.of_value);
  const std::int64_t piece = item % (pieces.of_key + pieces.of_value);
  const std::int64_t slot = (args.first_slot + token) % args.page_tokens;
  const std::int64_t lane = slot % kKvGroupKeys, row = head * args.page_tokens + slot;
  std::byte* keys = args.pages[(args.first_slot + token) / args.page_tokens];
  const std::int64_t thread = threadIdx.x % kWarpLanes;
  if (piece < pieces.of_key) {
    const std::int64_t i = piece * kKvBlock + thread;
    const float x = i < args.key_dim ? vector_at(args.k, token, head)[i] : 0.0f;
    store_key(args.types.keys, keys + (row - lane) * pieces.key_bytes, lane, args.key_dim, i, x);
  } else {
    const std::int64_t i = (piece - pieces.of_key) * kKvBlock + thread;
    const float x = i < args.value_dim ? vector_at(args.v, token, head)[i] : 0.0f;
    std::byte* values = keys + args.kv_heads * args.page_tokens * pieces.key_bytes;
    store_value(args.types.values, values + row * pieces.value_bytes, args.value_dim, i, x);
  }
}

void kv_append(const KvAppendArgs& args, DeviceRange tokens) {
  KvPieces pieces = {};
  pieces.first_token = tokens.begin;
  pieces.of_key = (args.key_dim + kKvBlock - 1) / kKvBlock;
  pieces.of_value = args.values_in_keys ? 0 : (args.value_dim + kKvBlock - 1) / kKvBlock;
  pieces.all = args.kv_heads * (pieces.of_key + pieces.of_value);
  pieces.key_bytes = kv_bytes(args.types.keys, args.key_dim);
  pieces.value_bytes = kv_bytes(args.types.values, args.value_dim);
  launch((tokens.end - tokens.begin) * ((pieces.all + kWarps - 1) / kWarps), kWarps * kWarpLanes, 0,
         tokens.stream, kv_append_kernel, args, pieces);
}

}  // namespace

void add_kv_append(DeviceOpTable* table) { table->kv_append = kv_append; }

}  // namespace windlass

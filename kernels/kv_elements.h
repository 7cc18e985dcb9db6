// Elements of cached keys and values as floats.
#pragma once

#include "kernels/formats/decoder.h"
#include "src/ops/op_args.h"

namespace windlass {

// Element `index` of numbers that lie side by side; not of q8_0.
template <KvType kType>
__device__ float kv_number(const std::byte* from, std::int64_t index) {
  if constexpr (kType == KvType::kF32) return reinterpret_cast<const float*>(from)[index];
  const std::uint16_t bits = reinterpret_cast<const std::uint16_t*>(from)[index];
  if constexpr (kType == KvType::kF16) return f32_of_half(bits);
  return f32_of_bits(static_cast<std::uint32_t>(bits) << 16);
}

// Elements i to i + 3 of key number `key` of a group of 16; zeros past `dim`. REQUIRES: 4 divides
// i.
template <KvType kType>
__device__ void load_key_elements(const std::byte* group, std::int64_t dim, int key, int i,
                                  float (&x)[4]) {
  if constexpr (kType == KvType::kQ8_0) {
    const auto codes = reinterpret_cast<const std::uint32_t*>(group)[i / 4 * kKvGroupKeys + key];
    const std::byte* scales = group + kKvGroupKeys * dim;
    const float scale = kv_number<KvType::kF16>(scales, i / kKvBlock * kKvGroupKeys + key);
    for (int j = 0; j < 4; ++j) x[j] = static_cast<float>(signed_byte_of(codes, j)) * scale;
  } else {
    for (int j = 0; j < 4; ++j) {
      x[j] = i + j < dim ? kv_number<kType>(group, (i + j) * kKvGroupKeys + key) : 0.0f;
    }
  }
}

// Element i of a key of a group.
template <KvType kType>
__device__ float key_element(const std::byte* group, std::int64_t dim, int key, int i) {
  if constexpr (kType != KvType::kQ8_0) return kv_number<kType>(group, i * kKvGroupKeys + key);
  const auto code = static_cast<std::int8_t>(group[(i / 4 * kKvGroupKeys + key) * 4 + i % 4]);
  const std::byte* scales = group + kKvGroupKeys * dim;
  return static_cast<float>(code) *
         kv_number<KvType::kF16>(scales, i / kKvBlock * kKvGroupKeys + key);
}

// Elements i and i + 1 of a row of values, the second 0 past `dim`. REQUIRES: 2 divides i.
template <KvType kType>
__device__ void load_value_pair(const std::byte* row, std::int64_t dim, int i, float (&x)[2]) {
  if constexpr (kType == KvType::kQ8_0) {
    const std::byte* block = row + i / kKvBlock * (kKvBlock + 2);
    const float scale = kv_number<KvType::kF16>(block, 0);
    const std::uint32_t codes = reinterpret_cast<const std::uint16_t*>(block)[1 + i % kKvBlock / 2];
    for (int j = 0; j < 2; ++j) x[j] = static_cast<float>(signed_byte_of(codes, j)) * scale;
  } else {
    for (int j = 0; j < 2; ++j) x[j] = i + j < dim ? kv_number<kType>(row, i + j) : 0.0f;
  }
}

}  // namespace windlass

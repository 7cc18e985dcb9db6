// How keys and values of the KV cache are stored. Per-ISA files include this: PODs only.
#pragma once

#include <cstdint>

namespace windlass {

enum class KvType : std::uint8_t { kF16, kF32, kBF16, kQ8_0 };
inline constexpr KvType kKvTypes[] = {KvType::kF16, KvType::kF32, KvType::kBF16, KvType::kQ8_0};

constexpr const char* kv_type_name(KvType type) {  // as -ctk has it
  constexpr const char* kNames[] = {"f16", "f32", "bf16", "q8_0"};
  return kNames[static_cast<int>(type)];
}

inline constexpr std::int64_t kKvBlock = 32;        // elements of a head that share a scale, of kQ8_0
inline constexpr std::int64_t kKvGroupKeys = 16;    // keys of a page that lie side by side
inline constexpr std::int64_t kMostHeadDim = 2048;  // elements of a key or value

struct KvTypes {
  KvType keys = KvType::kF16, values = KvType::kF16;
};

// Bytes of n elements of one key or value. REQUIRES: kKvBlock divides n where type is kQ8_0.
constexpr std::int64_t kv_bytes(KvType type, std::int64_t n) {
  switch (type) {
    case KvType::kF32:
      return 4 * n;
    case KvType::kF16:
    case KvType::kBF16:
      return 2 * n;
    case KvType::kQ8_0:
      break;
  }
  return n / kKvBlock * (kKvBlock + 2);  // and an f16 scale for each block
}

// Whether heads of this size can be stored as `type`.
constexpr bool kv_type_fits(KvType type, std::int64_t head_dim) {
  return type != KvType::kQ8_0 || head_dim % kKvBlock == 0;
}

}  // namespace windlass

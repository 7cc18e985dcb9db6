// GGUF's ids of metadata value types, shared by the reader and the writer.
#pragma once

#include <cstdint>

namespace windlass::gguf {

inline constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF", little-endian
inline constexpr std::uint32_t kVersion = 3;         // what we write; v2 is laid out alike

enum class ValueType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// Bytes of one value of a fixed-size type; 0 for strings, arrays and ids that are not in use.
constexpr std::int64_t value_bytes(std::uint32_t type_id) {
  constexpr std::int64_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return type_id < sizeof(kBytes) / sizeof(kBytes[0]) ? kBytes[type_id] : 0;
}

}  // namespace windlass::gguf

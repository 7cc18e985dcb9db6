// CUDA's words for the bytes and bits of integers, for a C++ compiler. For inclusion by
// emulated_words.h alone.
#pragma once

#include <bit>
#include <cstdint>

namespace windlass {

// Four bytes of the eight of (high, low), each chosen by a nibble of `selector`.
inline std::uint32_t __byte_perm(std::uint32_t low, std::uint32_t high, std::uint32_t selector) {
  const std::uint64_t bytes = std::uint64_t{high} << 32 | low;
  std::uint32_t four = 0;
  for (int j = 0; j < 4; ++j) {
    const std::uint32_t index = selector >> (4 * j) & 7u;
    four |= static_cast<std::uint32_t>(bytes >> (8 * index) & 255u) << (8 * j);
  }
  return four;
}

// The lowest word of (high, low) after a shift by 0 to 31 bits.
inline std::uint32_t __funnelshift_r(std::uint32_t low, std::uint32_t high, std::uint32_t shift) {
  return static_cast<std::uint32_t>((std::uint64_t{high} << 32 | low) >> (shift & 31u));
}

inline int __popc(std::uint32_t bits) { return std::popcount(bits); }

// sum + the products of four signed bytes each.
inline int __dp4a(int a, int b, int sum) {
  for (int j = 0; j < 4; ++j) {
    sum += static_cast<std::int8_t>(a >> (8 * j)) * static_cast<std::int8_t>(b >> (8 * j));
  }
  return sum;
}

}  // namespace windlass

// The words of mma_words.h for a C++ compiler. Stricter than a card: a lane reads its row of a tile
// when it gets there, so that a warp needs its barrier before; copies are made when they are waited
// for, and their targets are NaNs until then; addresses are checked.
#pragma once

#include <cstdint>
#include <source_location>

#include "kernels/device_words.h"

namespace windlass {

// The sum in double precision, rounded once.
void multiply_halves(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                     std::source_location where = std::source_location::current());
void multiply_bf16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                   std::source_location where = std::source_location::current());
void multiply_bytes(std::int32_t (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                    std::uint32_t b1, std::source_location where = std::source_location::current());
inline void multiply_bytes(std::int32_t (&c)[4], std::uint32_t a0, std::uint32_t a1,
                           std::uint32_t b,
                           std::source_location where = std::source_location::current()) {
  multiply_bytes(c, {a0, a1, 0, 0}, b, 0, where);
}
void load_tiles(std::uint32_t (&r)[4], const void* row,
                std::source_location where = std::source_location::current());
void load_tiles_transposed(std::uint32_t (&r)[4], const void* row,
                           std::source_location where = std::source_location::current());

inline std::uint32_t half_pair(float low, float high) {
  return half_of_f32(low) | static_cast<std::uint32_t>(half_of_f32(high)) << 16;
}

void copy_async(void* to, const void* from, bool real = true,
                std::source_location where = std::source_location::current());
inline void commit_copies() { emulation::this_block().copies().commit(); }
template <int kGroups>
void wait_for_copies() {
  emulation::this_block().copies().wait(kGroups);
}

}  // namespace windlass

// The tile registers of AMX: nothing but its instructions. matmul_tiles_inl.h says what they are
// used for; tests/cpu_kernels/emulated_tiles.h is the same in plain C++.
//
// Written as assembly because the intrinsics of g++ 12 name tiles by literals only, and do not say
// that they read and write memory.
#pragma once

#include <cstdint>

namespace windlass {
namespace {

// What ldtilecfg loads.
struct TileConfig {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

// The calling thread's tiles. One at a time: the destructor gives them back.
class AmxTiles {
 public:
  AmxTiles() = default;
  ~AmxTiles() { __asm__ volatile("tilerelease"); }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;

  // Zeroes all tiles. Of each, rows <= 16 and row_bytes <= 64.
  void configure(const TileConfig& config) {
    __asm__ volatile("ldtilecfg %0" : : "m"(config) : "memory");
  }
  template <int kTile>
  void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }
  template <int kTile>
  void load(const void* from, std::int64_t stride_bytes) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2"
                     :
                     : "r"(from), "r"(stride_bytes), "i"(kTile)
                     : "memory");
  }
  template <int kTile>
  void store(void* to, std::int64_t stride_bytes) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)"
                     :
                     : "r"(to), "r"(stride_bytes), "i"(kTile)
                     : "memory");
  }
  // sum[m][n] += over k and i < 4: a[m][4k + i] * b[k][4n + i]; a signed bytes, b unsigned, sums of
  // 32 bits.
  template <int kSum, int kA, int kB>
  void dot_bytes() {
    __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kB));
  }
  // sum[m][n] += over k: a[m][2k] * b[k][2n] and a[m][2k + 1] * b[k][2n + 1], bf16 to f32, even and
  // odd ones summed apart, then both added.
  template <int kSum, int kA, int kB>
  void dot_pairs() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kB));
  }
};

}  // namespace
}  // namespace windlass

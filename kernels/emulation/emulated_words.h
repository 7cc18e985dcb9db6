// CUDA's words for a C++ compiler: kernels as functions, whose threads are fibres (block_runner.h).
// A test tool: slow, and strict. A barrier or shuffle that not all threads reach is an error, not a
// hang; shared memory starts as NaNs, on the heap, where the address sanitizer watches over it.
// What a kernel may use and CUDA has beyond this is missing here, so it does not compile.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "kernels/emulation/block_runner.h"
#include "kernels/emulation/emulated_device.h"
#include "kernels/emulation/emulated_integers.h"
#include "src/base/half.h"
#include "src/device/stream.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

namespace windlass {

inline thread_local emulation::Index threadIdx, blockIdx, blockDim, gridDim;

inline void __syncthreads(std::source_location where = std::source_location::current()) {
  emulation::this_block().sync_threads(where);
}

// A meeting of all 32 lanes.
inline void __syncwarp(std::source_location where = std::source_location::current()) {
  emulation::this_block().exchange(0xffffffffu, {}, where);
}

// All 32 lanes take part.
template <class T>
T __shfl_xor_sync(unsigned lanes, T value, int lane_mask,
                  std::source_location where = std::source_location::current()) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  const emulation::LaneWords* all = emulation::this_block().exchange(lanes, {bits}, where);
  std::memcpy(&value, &all[static_cast<int>(threadIdx.x % 32) ^ lane_mask][0], sizeof value);
  return value;
}

// True where `predicate` is in any of the 32 lanes.
inline int __any_sync(unsigned lanes, int predicate,
                      std::source_location where = std::source_location::current()) {
  const emulation::LaneWords* all =
      emulation::this_block().exchange(lanes, {predicate != 0 ? 1u : 0u}, where);
  std::uint64_t any = 0;
  for (int lane = 0; lane < 32; ++lane) any |= all[lane][0];
  return any != 0 ? 1 : 0;
}

template <class T>
constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
constexpr T max(T a, T b) {
  return a < b ? b : a;
}

template <class T>
T* shared_memory() {
  return reinterpret_cast<T*>(emulation::this_block().shared_memory());
}

template <class... Params>
void launch(std::int64_t blocks, int threads, std::int64_t shared_bytes, Stream stream,
            void (*kernel)(Params...), std::type_identity_t<Params>... args) {
  emulation::EmulatedDevice::of(stream).enqueue({blocks, threads, shared_bytes},
                                                [=] { kernel(args...); });
}

inline float f32_of_half(std::uint16_t bits) { return f32_from_f16(bits); }
inline std::uint16_t half_of_f32(float value) { return f16_from_f32(value); }
inline std::uint32_t bits_of_f32(float value) { return std::bit_cast<std::uint32_t>(value); }
inline float f32_of_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

}  // namespace windlass

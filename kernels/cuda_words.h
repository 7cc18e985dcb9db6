// What kernels need beside CUDA's own words, for nvcc. For inclusion by device_words.h alone;
// emulation/emulated_words.h has the same for tests.
#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <type_traits>

#include "kernels/launch_check.h"
#include "src/device/stream.h"

namespace windlass {

// Puts `blocks` blocks of `threads` threads on the stream; nothing where there is no block.
// Error(kDevice) where the device refuses.
// REQUIRES: threads is a multiple of 32 up to 1024, blocks < 2^31, shared_bytes <= 48 KiB.
template <class... Params>
void launch(std::int64_t blocks, int threads, std::int64_t shared_bytes, Stream stream,
            void (*kernel)(Params...), std::type_identity_t<Params>... args) {
  if (blocks == 0) return;
  void* pointers[] = {&args...};
  check_launch(cudaLaunchKernel(
      reinterpret_cast<const void*>(kernel), dim3(static_cast<unsigned>(blocks)),
      dim3(static_cast<unsigned>(threads)), pointers, static_cast<std::size_t>(shared_bytes),
      static_cast<cudaStream_t>(stream.native())));
}

// The block's shared memory: as many bytes as launch() was told, uninitialised, 16-byte aligned.
template <class T>
__device__ T* shared_memory() {
  extern __shared__ uint4 windlass_shared[];
  return reinterpret_cast<T*>(windlass_shared);
}

inline __device__ float f32_of_half(std::uint16_t bits) {
  return __half2float(__ushort_as_half(bits));
}
inline __device__ std::uint16_t half_of_f32(float value) {  // to nearest even
  return __half_as_ushort(__float2half_rn(value));
}
inline __device__ std::uint32_t bits_of_f32(float value) { return __float_as_uint(value); }
inline __device__ float f32_of_bits(std::uint32_t bits) { return __uint_as_float(bits); }

}  // namespace windlass

// Sums over the lanes of a warp and the threads of a block. One order, whatever the data: the same
// bits in every thread and every run.
#pragma once

#include "kernels/device_words.h"

namespace windlass {

inline __device__ float warp_sum(float value) {
  for (int mask = kWarpLanes / 2; mask > 0; mask /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, mask);
  }
  return value;
}

inline __device__ float warp_max(float value) {  // of numbers: a NaN is passed over
  for (int mask = kWarpLanes / 2; mask > 0; mask /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, mask));
  }
  return value;
}

// Over the whole block. scratch: shared, a float for each warp.
inline __device__ float block_sum(float value, float* scratch) {
  const int warps = static_cast<int>(blockDim.x) / kWarpLanes;
  value = warp_sum(value);
  if (warps == 1) return value;
  __syncthreads();  // the sum before may still be read
  if (threadIdx.x % kWarpLanes == 0) scratch[threadIdx.x / kWarpLanes] = value;
  __syncthreads();
  float sum = 0;
  for (int warp = 0; warp < warps; ++warp) sum += scratch[warp];
  return sum;
}

}  // namespace windlass

// 8-bit codes of 32 values, one a lane, as op_args.h has them: for q8 rows and for KV pages.
#pragma once

#include <cfloat>

#include "kernels/reduce.h"

namespace windlass {

// The lane's code; *scale is that of all 32. Codes of 0 where a scale would be denormal (it is 0
// then) or a value is none (NaN).
inline __device__ int q8_code(float x, float* scale) {
  if (__any_sync(kAllLanes, !(fabsf(x) <= FLT_MAX))) {
    *scale = f32_of_bits(0x7fc00000u);
    return 0;
  }
  const float largest = warp_max(fabsf(x));
  *scale = largest / 127.0f;
  if (*scale < FLT_MIN) *scale = 0.0f;
  return *scale == 0.0f ? 0 : static_cast<int>(rintf(x * (127.0f / largest)));
}

}  // namespace windlass

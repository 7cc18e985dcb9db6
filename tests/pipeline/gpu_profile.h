// The tests' machine with a GPU: much faster than its CPU, behind a link as fast as its memory.
#pragma once

#include "src/base/units.h"
#include "tests/pipeline/golden_model.h"

namespace windlass::test {

inline Profile gpu_profile(double op_overhead_s) {
  Profile profile = test_profile();
  GpuProfile gpu;
  gpu.name = "simulated";
  gpu.vram_bytes = kGiB;
  gpu.vram_bytes_per_s = 80e9;
  gpu.h2d_bytes_per_s = gpu.d2h_bytes_per_s = 4e9;
  gpu.h2d_latency_s = gpu.d2h_latency_s = 5e-6;
  gpu.f16_ops_per_s = gpu.int8_ops_per_s = gpu.f32_ops_per_s = 1e12;
  gpu.op_overhead_s = op_overhead_s;
  profile.gpu = gpu;
  return profile;
}

}  // namespace windlass::test

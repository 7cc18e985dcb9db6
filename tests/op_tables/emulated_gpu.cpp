#include "kernels/emulation/emulated_device.h"
#include "tests/op_tables/gpu.h"
#include "tests/support/seed.h"

namespace windlass::test {
namespace {

emulation::EmulatedDevice& device() {
  static emulation::EmulatedDevice one(test_seed());
  return one;
}

}  // namespace

DeviceRange on_gpu(WorkRange range) { return {range.begin, range.end, device().stream()}; }

void wait_for_gpu() { device().wait(); }

}  // namespace windlass::test

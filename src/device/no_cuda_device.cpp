// Linked where the build has no CUDA toolkit: says so.
#include "src/device/cuda_device.h"

namespace windlass {

std::variant<std::unique_ptr<Device>, NoDevice> open_cuda_device(const CudaDeviceOptions&) {
  return NoDevice{
      "this build has no CUDA",
      "to use an NVIDIA GPU, install the CUDA toolkit and build with -DWINDLASS_CUDA=ON"};
}

}  // namespace windlass

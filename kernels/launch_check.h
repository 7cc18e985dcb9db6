// What becomes of a launch that the device refuses.
#pragma once

#include <cuda_runtime_api.h>

namespace windlass {

// Error(kDevice) with CUDA's words unless `status` says that all is well.
void check_launch(cudaError_t status);

}  // namespace windlass

#include "kernels/launch_check.h"

#include "src/base/error.h"

namespace windlass {

void check_launch(cudaError_t status) {
  if (status == cudaSuccess) return;
  fail(ErrorCode::kDevice, "the GPU refused a kernel: {} ({})", cudaGetErrorString(status),
       cudaGetErrorName(status));
}

}  // namespace windlass

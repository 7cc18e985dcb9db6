// The maker of NVIDIA devices. Two files implement it, one is built: cuda/cuda_device.cpp where
// there is a CUDA toolkit, no_cuda_device.cpp elsewhere.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <variant>

#include "src/device/device.h"

namespace windlass {

struct CudaDeviceOptions {
  int ordinal = 0;  // among the visible ones (CUDA_VISIBLE_DEVICES), in CUDA's order
  std::int64_t most_pinned_bytes = std::numeric_limits<std::int64_t>::max();
};

// Clauses: "this machine has no NVIDIA driver", "install ...".
struct NoDevice {
  std::string reason;
  std::string advice;
};

// Makes the device's context, which costs some tenths of a second and host memory. The program
// needs neither driver nor toolkit to start: what is missing is the reason given. The calling
// thread owns the device and is the one that may launch kernels on its streams.
std::variant<std::unique_ptr<Device>, NoDevice> open_cuda_device(const CudaDeviceOptions& options);

}  // namespace windlass

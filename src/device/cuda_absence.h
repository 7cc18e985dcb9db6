// Why there is no NVIDIA device, in words: from what the CUDA runtime says, without needing it.
#pragma once

#include <string>

#include "src/device/cuda_device.h"

namespace windlass {

// What the runtime answered when it was asked for devices, or for one.
struct CudaAnswer {
  int status = 0;                 // cudaError_t; 0: it answered
  std::string status_text;        // "no CUDA-capable device is detected"
  int driver_version = 0;         // the CUDA that the driver supports, 12020 for 12.2; 0: no driver
  int runtime_version = 0;        // the CUDA that this build wants
  int n_devices = 0;              // where it answered
  int ordinal = 0;                // which one was asked for
  const char* visible = nullptr;  // CUDA_VISIBLE_DEVICES; null: not set
};

// REQUIRES an answer without the device: a status other than 0, or an ordinal that is not there.
NoDevice explain_absence(const CudaAnswer& answer);

}  // namespace windlass

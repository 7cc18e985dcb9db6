#include "src/device/cuda_absence.h"

#include <fmt/format.h>

#include "src/base/check.h"

namespace windlass {
namespace {

// Numbers of cudaError_t, which are part of CUDA's stable interface.
enum Status {
  kInitializationError = 3,
  kInsufficientDriver = 35,
  kDevicesUnavailable = 46,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kOperatingSystem = 304,
  kSystemNotReady = 802,
  kSystemDriverMismatch = 803,
  kCompatNotSupported = 804,
  kUnknown = 999,
};

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

// CUDA_VISIBLE_DEVICES as a clause; empty where it hides nothing.
std::string visible_text(const CudaAnswer& answer) {
  if (answer.visible == nullptr) return {};
  return fmt::format(" (CUDA_VISIBLE_DEVICES is '{}')", answer.visible);
}

NoDevice no_device_visible(const CudaAnswer& answer) {
  return {
      fmt::format("the NVIDIA driver shows no GPU{}", visible_text(answer)),
      answer.visible != nullptr
          ? "unset CUDA_VISIBLE_DEVICES, or name a GPU or MIG slice that `nvidia-smi -L` lists"
          : "look at `nvidia-smi -L`; a container must be given the GPU (--gpus all), and a GPU "
            "in MIG mode needs a compute instance (`nvidia-smi mig -cgi ... -C`)"};
}

NoDevice insufficient_driver(const CudaAnswer& answer) {
  if (answer.driver_version == 0) {
    return {"this machine has no NVIDIA driver that programs can use",
            "to use an NVIDIA GPU, install its driver (in a container: start it with --gpus all)"};
  }
  return {fmt::format("the NVIDIA driver is too old: it supports CUDA {}, this build needs {}",
                      version_text(answer.driver_version), version_text(answer.runtime_version)),
          fmt::format("install a driver for CUDA {} or newer, or build with an older toolkit",
                      version_text(answer.runtime_version))};
}

}  // namespace

NoDevice explain_absence(const CudaAnswer& answer) {
  WINDLASS_CHECK(answer.status != 0 || answer.ordinal < 0 || answer.ordinal >= answer.n_devices,
                 answer.status, answer.ordinal, answer.n_devices);
  switch (answer.status) {
    case 0:
      if (answer.n_devices == 0) return no_device_visible(answer);
      [[fallthrough]];
    case kInvalidDevice:
      return {fmt::format("there is no GPU {}: {} are visible, counted from 0{}", answer.ordinal,
                          answer.n_devices, visible_text(answer)),
              "`nvidia-smi -L` lists them"};
    case kInsufficientDriver:
      return insufficient_driver(answer);
    case kNoDevice:
      return no_device_visible(answer);
    case kDevicesUnavailable:
      return {
          fmt::format("the GPU is busy or refuses new programs{}", visible_text(answer)),
          "end the program that has it to itself, or set `nvidia-smi -c DEFAULT`; in MIG mode a "
          "slice needs a compute instance"};
    case kSystemNotReady:
      return {"the NVIDIA driver is not ready",
              "start nvidia-fabricmanager (systems with NVSwitch)"};
    case kSystemDriverMismatch:
    case kCompatNotSupported:
      return {
          fmt::format("the NVIDIA driver's kernel module and libraries do not fit each other ({})",
                      answer.status_text),
          "restart the machine after the driver's update, or install the driver again"};
    case kOperatingSystem:
    case kInitializationError:
    case kUnknown:
      return {
          fmt::format("the NVIDIA driver does not start ({})", answer.status_text),
          "see whether `nvidia-smi` works and /dev/nvidia* can be opened; `modprobe nvidia_uvm` "
          "or a restart helps after suspend"};
    default:
      return {fmt::format("the NVIDIA driver gives no GPU: {} (error {})", answer.status_text,
                          answer.status),
              "see whether `nvidia-smi` works"};
  }
}

}  // namespace windlass

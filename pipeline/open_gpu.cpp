#include "pipeline/open_gpu.h"

#include <utility>
#include <variant>

#include "pipeline/gpu_probe.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "src/device/cuda_device.h"

namespace windlass {
namespace {

// Tensor cores of 8-bit integers and cp.async came with it.
constexpr int kLeastComputeMajor = 8;

void check_device(Device& device, std::int64_t vram_bytes) {
  const DeviceInfo& info = device.info();
  if (info.compute_major < kLeastComputeMajor) {
    fail(ErrorCode::kUnsupported,
         "--vram {}: {} has compute capability {}.{}, and kernels need {}.0 (Ampere) or later; use "
         "--vram 0",
         format_size(vram_bytes), info.name, info.compute_major, info.compute_minor,
         kLeastComputeMajor);
  }
  const DeviceMemory memory = device.memory();
  if (vram_bytes <= memory.free_bytes) return;
  fail(ErrorCode::kNoSpace, "--vram {}: {} has {} free of {}; ask for no more than --vram {}MiB",
       format_size(vram_bytes), info.name, format_size(memory.free_bytes),
       format_size(memory.total_bytes), memory.free_bytes / kMiB);
}

}  // namespace

void use_gpu(EngineOptions& options, Profile& profile) {
  if (options.vram_bytes == 0) return;
  auto opened = open_cuda_device({});
  if (const auto* none = std::get_if<NoDevice>(&opened)) {
    fail(ErrorCode::kUnsupported, "--vram {}: {}; {}, or use --vram 0",
         format_size(options.vram_bytes), none->reason, none->advice);
  }
  options.device = std::move(std::get<std::unique_ptr<Device>>(opened));
  options.device_ops = gpu_op_table();
  check_device(*options.device, options.vram_bytes);
  if (!profile.gpu) profile.gpu = measure_gpu(*options.device, *options.device_ops, {});
}

}  // namespace windlass

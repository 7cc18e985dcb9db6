// Measures what a GPU gives: its links, its memory, its products.
#pragma once

#include <cstdint>

#include "kernels/op_table.h"
#include "pipeline/profile.h"
#include "src/device/device.h"

namespace windlass {

struct GpuProbeOptions {
  std::int64_t copy_bytes = std::int64_t{64} << 20;  // of pinned memory, and twice of VRAM
  std::int64_t product_rows = 4096, product_columns = 4096, product_tokens = 512;
  int rounds = 5;  // of each measurement; the best counts, as others may use the machine
};

// Takes some tenths of a second, and gives all memory back. A rate is 0 where the table lacks the
// row. Error(kNoSpace) where the device, or pinned memory, has not even that much room.
GpuProfile measure_gpu(Device& device, const DeviceOpTable& ops, const GpuProbeOptions& options);

}  // namespace windlass

// The GPU backend as the pipeline sees it: its op table, or none.
// This is the one header that the pipeline includes from here.
#pragma once

#include <cstdint>

#include "src/device/stream.h"
#include "src/ops/op_table.h"

namespace windlass {

// Work items [begin, end) of an op, as for the CPU, put on a stream. The call returns at once; what
// the arguments point to is read and written when the stream gets there, and is memory that the
// device can reach. The argument struct itself is copied. Error(kDevice) where the device
// refuses the launch; what goes wrong later is told by whoever waits for the stream.
struct DeviceRange {
  std::int64_t begin, end;
  Stream stream;
};

using DeviceOpTable = OpTableOf<DeviceRange>;

// Null when this build has no GPU backend.
const DeviceOpTable* gpu_op_table();

}  // namespace windlass

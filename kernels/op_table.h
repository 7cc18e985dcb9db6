// The GPU backend as the pipeline sees it: its op table, or why there is none.
// This is the one header that the pipeline includes from here.
#pragma once

#include "src/ops/op_table.h"

namespace windlass {

// Null when this build or machine has no GPU backend; gpu_absent_reason() says why.
const OpTable* gpu_op_table();
// One clause for messages such as "--vram 4GiB: this build has no CUDA kernels"; null if there is a
// GPU.
const char* gpu_absent_reason();

}  // namespace windlass

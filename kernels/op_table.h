// The GPU backend as the pipeline sees it: its op table, or none.
// This is the one header that the pipeline includes from here.
#pragma once

#include "src/ops/op_table.h"

namespace windlass {

// Null when this build has no GPU backend.
const OpTable* gpu_op_table();

}  // namespace windlass

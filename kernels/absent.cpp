// Linked where there are no CUDA kernels: says so.
#include "kernels/op_table.h"

namespace windlass {

const OpTable* gpu_op_table() { return nullptr; }

const char* gpu_absent_reason() { return "this build has no CUDA kernels"; }

}  // namespace windlass

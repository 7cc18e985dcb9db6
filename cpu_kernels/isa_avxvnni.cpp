#include "cpu_kernels/isa_tables.h"
#include "cpu_kernels/simd_avxvnni.h"
#include "cpu_kernels/table_inl.h"

namespace windlass {

// Constant-initialised: code of this file must not run at start-up, when nobody has asked whether
// the CPU can.
constinit const OpTable kAvxVnniTable = make_q8_table<AvxVnni>("avxvnni");

}  // namespace windlass

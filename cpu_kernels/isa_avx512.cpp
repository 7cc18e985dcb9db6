#include "cpu_kernels/isa_tables.h"
#include "cpu_kernels/simd_avx512.h"
#include "cpu_kernels/table_inl.h"

namespace windlass {

// Constant-initialised: code of this file must not run at start-up, when nobody has asked whether
// the CPU can.
constinit const OpTable kAvx512Table = make_table<Avx512>("avx512");

}  // namespace windlass

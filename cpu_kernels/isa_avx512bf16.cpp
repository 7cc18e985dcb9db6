#include "cpu_kernels/isa_tables.h"
#include "cpu_kernels/matmul_bf16_inl.h"
#include "cpu_kernels/simd_avx512bf16.h"
#include "src/ops/op_table.h"

namespace windlass {
namespace {

constexpr OpTable make_bf16_table() {
  OpTable table = {};
  table.name = "avx512bf16";
  table.round_rows = round_rows<Avx512Bf16>;
  table.matmul_bf16[static_cast<int>(DType::kBF16)] = matmul_bf16<Avx512Bf16>;
  return table;
}

}  // namespace

// Constant-initialised: code of this file must not run at start-up, when nobody has asked whether
// the CPU can.
constinit const OpTable kAvx512Bf16Table = make_bf16_table();

}  // namespace windlass

// The op table of builds with CUDA kernels, and of the tests that emulate them.
#include "kernels/op_table.h"

#include "kernels/families.h"

namespace windlass {

const DeviceOpTable* gpu_op_table() {
  static const DeviceOpTable table = [] {
    DeviceOpTable rows = {};
    rows.name = "cuda";
    add_norms(&rows);
    add_rope(&rows);
    add_elementwise(&rows);
    add_row_moves(&rows);
    add_routing(&rows);
    add_q8_rows(&rows);
    add_kv_append(&rows);
    add_attention(&rows);
    add_dequantize(&rows);
    add_matmul_transposed(&rows);
    add_matvec(&rows);
    return rows;
  }();
  return &table;
}

}  // namespace windlass

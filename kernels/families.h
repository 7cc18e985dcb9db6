// The files of kernels, each with the rows that it has in the GPU's op table.
#pragma once

#include "kernels/op_table.h"

namespace windlass {

void add_norms(DeviceOpTable* table);
void add_rope(DeviceOpTable* table);
void add_elementwise(DeviceOpTable* table);
void add_row_moves(DeviceOpTable* table);
void add_routing(DeviceOpTable* table);
void add_q8_rows(DeviceOpTable* table);
void add_kv_append(DeviceOpTable* table);
void add_attention(DeviceOpTable* table);
void add_dequantize(DeviceOpTable* table);
void add_matmul_transposed(DeviceOpTable* table);
void add_matvec(DeviceOpTable* table);

}  // namespace windlass

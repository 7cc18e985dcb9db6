// The op tables that the per-ISA files export, and nothing else they do. Those of AVX-VNNI,
// AVX-512-BF16 and AMX hold only what these sets compute otherwise; other rows are null.
#pragma once

#include "src/ops/op_table.h"

namespace windlass {

extern const OpTable kScalarTable;
extern const OpTable kAvx2Table;
extern const OpTable kAvxVnniTable;
extern const OpTable kAvx512Table;
extern const OpTable kAvx512VnniTable;
extern const OpTable kAvx512Bf16Table;
extern const OpTable kAmxTable;

}  // namespace windlass

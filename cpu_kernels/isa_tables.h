// The op tables that the per-ISA files export, and nothing else they do.
#pragma once

#include "src/ops/op_table.h"

namespace windlass {

extern const OpTable kScalarTable;
extern const OpTable kAvx2Table;
extern const OpTable kAvx512Table;
extern const OpTable kAvx512VnniTable;

}  // namespace windlass

#include "cpu_kernels/op_table.h"

#include "cpu_kernels/isa_tables.h"
#include "src/base/check.h"

namespace windlass {

const OpTable& cpu_op_table(Isa isa) {
  WINDLASS_CHECK(isa_present(isa), isa_name(isa), missing_features(isa));
  switch (isa) {
    case Isa::kScalar:
      return kScalarTable;
    case Isa::kAvx2:
      return kAvx2Table;
    case Isa::kAvx512:
      return kAvx512Table;
    case Isa::kAvx512Vnni:
      return kAvx512VnniTable;
  }
  WINDLASS_CHECK(false, static_cast<int>(isa));
  return kScalarTable;
}

}  // namespace windlass

#include "cpu_kernels/op_table.h"

#include <array>
#include <bit>

#include "cpu_kernels/isa_tables.h"
#include "src/base/check.h"

namespace windlass {
namespace {

// A table is pointers alone.
using Pointers = std::array<const void*, sizeof(OpTable) / sizeof(const void*)>;
static_assert(sizeof(Pointers) == sizeof(OpTable));

// `base` with the rows that `wider` has.
OpTable widened(const OpTable& base, const OpTable& wider) {
  Pointers rows = std::bit_cast<Pointers>(base);
  const Pointers own = std::bit_cast<Pointers>(wider);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (own[i] != nullptr) rows[i] = own[i];
  }
  return std::bit_cast<OpTable>(rows);
}

}  // namespace

const OpTable& cpu_op_table(Isa isa) {
  WINDLASS_CHECK(isa_present(isa), isa_name(isa), missing_features(isa));
  switch (isa) {
    case Isa::kScalar:
      return kScalarTable;
    case Isa::kAvx2:
      return kAvx2Table;
    case Isa::kAvxVnni: {
      static const OpTable table = widened(kAvx2Table, kAvxVnniTable);
      return table;
    }
    case Isa::kAvx512:
      return kAvx512Table;
    case Isa::kAvx512Vnni:
      return kAvx512VnniTable;
    case Isa::kAvx512Bf16: {
      static const OpTable table = widened(kAvx512VnniTable, kAvx512Bf16Table);
      return table;
    }
    case Isa::kAmx: {
      static const OpTable table = widened(cpu_op_table(Isa::kAvx512Bf16), kAmxTable);
      return table;
    }
  }
  WINDLASS_CHECK(false, static_cast<int>(isa));
  return kScalarTable;
}

}  // namespace windlass

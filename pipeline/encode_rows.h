// Rows of floats in any of the three float types as blocks of another type: an op for the team.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cpu_kernels/op_table.h"
#include "pipeline/stored_rows.h"

namespace windlass {

// What types with f16 numbers in them can hold.
inline constexpr float kLargestHalf = 65504.0F;

// Items: rows.
struct EncodeRowsArgs {
  const StoredRows* in;
  std::byte* out;  // [rows] of out_row_bytes
  DType to;
  std::int64_t width, out_row_bytes;
  float offset;                        // added to each weight
  std::atomic<std::int64_t>* bad_row;  // the last row found that holds what `to` cannot; untouched
};

void encode_rows(const EncodeRowsArgs& args, WorkRange range);

}  // namespace windlass

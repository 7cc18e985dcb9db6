// Rows of a tensor to be converted, read from where the container has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "src/base/dtype.h"
#include "src/format/posix_file.h"
#include "src/format/tensor_table.h"
#include "src/model/gguf_layout.h"

namespace windlass {

// Rows as they were read. Weight i of row r is at data + slot(r) * row_stride + i * weight_stride.
struct StoredRows {
  DType type = DType::kF32;
  std::vector<std::byte> data;
  std::vector<std::int32_t> slots;                 // of each row; empty: its own number
  std::int64_t row_stride = 0, weight_stride = 0;  // bytes

  const std::byte* row(std::int64_t r) const {
    return data.data() + (slots.empty() ? r : slots[static_cast<std::size_t>(r)]) * row_stride;
  }
};

// Owner-thread. The table must outlive it.
class StoredRowReader {
 public:
  explicit StoredRowReader(const TensorTable& table);

  DType type_of(const GgufTensor& tensor) const;
  // Of a row in memory, with what is kept to find it.
  std::int64_t row_bytes(const GgufTensor& tensor) const;
  // Rows [first, first + n) into `rows`, whose memory is used again. Neighbours in the file are
  // read at once. Errors as PosixFile's.
  void read(const GgufTensor& tensor, std::int64_t first, std::int64_t n, StoredRows& rows) const;

 private:
  void read_run(const GgufTensor& tensor, std::int64_t stored_row, std::int64_t n,
                std::byte* into) const;
  void read_ordered(const GgufTensor& tensor, std::int64_t first, std::int64_t n,
                    StoredRows& rows) const;
  void read_columns(const GgufTensor& tensor, std::int64_t first, std::int64_t n,
                    StoredRows& rows) const;

  const TensorTable& table_;
  std::vector<std::unique_ptr<PosixFile>> files_;
};

}  // namespace windlass

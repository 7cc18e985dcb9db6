// A float32 matrix as a NumPy file, written tile by tile, with few bytes of it in memory at any
// time.
#pragma once

#include <cstdint>
#include <string>

#include "src/base/output_file.h"

namespace windlass {

// Owner-thread. The file appears under its name only when finish() succeeded. Errors as OutputFile.
class NpyWriter {
 public:
  NpyWriter(const std::string& path, std::int64_t n_rows, std::int64_t n_columns);

  // data [rows, stride] goes to rows from first_row and columns from first_column on.
  void write_tile(std::int64_t first_row, std::int64_t rows, std::int64_t first_column,
                  std::int64_t columns, const float* data, std::int64_t stride);
  void finish();

 private:
  OutputFile file_;
  std::int64_t n_rows_, n_columns_;
};

}  // namespace windlass

#include "tools/npy_writer.h"

#include <fmt/format.h>

#include <span>

#include "src/base/check.h"

namespace windlass {
namespace {

constexpr std::int64_t kDataOffset =
    4096;  // a page, so that rows of a page's multiple stay aligned

// NumPy's format 1.0: magic, version, u16 header length, a Python dict padded with blanks to end in
// a newline.
std::string npy_header(std::int64_t n_rows, std::int64_t n_columns) {
  std::string header("\x93NUMPY\x01\x00", 8);
  constexpr std::int64_t kDictBytes = kDataOffset - 10;
  header += static_cast<char>(kDictBytes & 0xff);
  header += static_cast<char>(kDictBytes >> 8);
  header += fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", n_rows,
                        n_columns);
  header.resize(kDataOffset - 1, ' ');
  return header + '\n';
}

}  // namespace

NpyWriter::NpyWriter(const std::string& path, std::int64_t n_rows, std::int64_t n_columns)
    : file_(path), n_rows_(n_rows), n_columns_(n_columns) {
  const std::string header = npy_header(n_rows, n_columns);
  file_.write_at(0, std::as_bytes(std::span(header)));
}

void NpyWriter::write_tile(std::int64_t first_row, std::int64_t rows, std::int64_t first_column,
                           std::int64_t columns, const float* data, std::int64_t stride) {
  WINDLASS_CHECK(first_row >= 0 && first_row + rows <= n_rows_, first_row, rows, n_rows_);
  WINDLASS_CHECK(first_column >= 0 && first_column + columns <= n_columns_, first_column, columns,
                 n_columns_);
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t element = (first_row + row) * n_columns_ + first_column;
    file_.write_at(
        kDataOffset + element * 4,
        std::as_bytes(std::span(data + row * stride, static_cast<std::size_t>(columns))));
  }
}

void NpyWriter::finish() { file_.finish(); }

}  // namespace windlass

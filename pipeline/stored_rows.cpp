#include "pipeline/stored_rows.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "src/base/check.h"

namespace windlass {

StoredRowReader::StoredRowReader(const TensorTable& table) : table_(table) {
  for (const ModelFile& file : table.files) {
    files_.push_back(std::make_unique<PosixFile>(file.path));
  }
}

DType StoredRowReader::type_of(const GgufTensor& tensor) const {
  return tensor.sources.empty() ? DType::kF32 : table_.at(tensor.sources.front()).type;
}

std::int64_t StoredRowReader::row_bytes(const GgufTensor& tensor) const {
  // Of permuted rows: a slot, and the pair that is sorted to find it.
  const std::int64_t sorting = tensor.order == RowOrder::kSame ? 0 : 4 + 16;
  return windlass::row_bytes(type_of(tensor), tensor.width) + sorting;
}

void StoredRowReader::read(const GgufTensor& tensor, std::int64_t first, std::int64_t n,
                           StoredRows& rows) const {
  WINDLASS_CHECK(first >= 0 && n > 0 && first + n <= tensor.rows, first, n, tensor.rows);
  rows.type = type_of(tensor);
  rows.slots.clear();
  rows.weight_stride = dtype_info(rows.type).block_bytes;
  rows.row_stride = windlass::row_bytes(rows.type, tensor.width);
  rows.data.resize(static_cast<std::size_t>(n * rows.row_stride));
  if (tensor.sources.empty()) {
    std::memcpy(rows.data.data(), tensor.values.data(), rows.data.size());
  } else if (tensor.transposed) {
    read_columns(tensor, first, n, rows);
  } else if (tensor.order == RowOrder::kSame) {
    read_run(tensor, first, n, rows.data.data());
  } else {
    read_ordered(tensor, first, n, rows);
  }
}

// Rows that follow one another in the container, through the ends of sources.
void StoredRowReader::read_run(const GgufTensor& tensor, std::int64_t stored_row, std::int64_t n,
                               std::byte* into) const {
  const TensorInfo& one = table_.at(tensor.sources.front());
  const std::int64_t rows_each = one.n_rows() * one.n_cols() / tensor.width;
  const std::int64_t row_bytes = windlass::row_bytes(type_of(tensor), tensor.width);
  while (n > 0) {
    const std::int64_t row = stored_row % rows_each;
    const std::int64_t piece = std::min(n, rows_each - row);
    const TensorId source = tensor.sources[static_cast<std::size_t>(stored_row / rows_each)];
    const Extent& extent = table_.at(source).extent;
    const PosixFile& file = *files_[static_cast<std::size_t>(index_of(extent.file))];
    const std::int64_t size_bytes = piece * row_bytes;
    file.read_at(extent.offset_bytes + row * row_bytes,
                 std::span(into, static_cast<std::size_t>(size_bytes)));
    into += size_bytes;
    stored_row += piece;
    n -= piece;
  }
}

// In the order of the file, where whole heads are one run.
void StoredRowReader::read_ordered(const GgufTensor& tensor, std::int64_t first, std::int64_t n,
                                   StoredRows& rows) const {
  std::vector<std::pair<std::int64_t, std::int32_t>> places;  // stored row, and which it is here
  places.reserve(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    places.emplace_back(tensor.stored_row(first + i), static_cast<std::int32_t>(i));
  }
  std::sort(places.begin(), places.end());
  rows.slots.resize(static_cast<std::size_t>(n));
  for (std::size_t begin = 0, end = 0; begin < places.size(); begin = end) {
    for (end = begin; end < places.size() &&
                      places[end].first - places[begin].first == std::int64_t(end - begin);
         ++end) {
      rows.slots[static_cast<std::size_t>(places[end].second)] = static_cast<std::int32_t>(end);
    }
    read_run(tensor, places[begin].first, static_cast<std::int64_t>(end - begin),
             rows.data.data() + static_cast<std::int64_t>(begin) * rows.row_stride);
  }
}

// A row is a column of the source's head: a matrix of stored_head_rows by head_rows.
void StoredRowReader::read_columns(const GgufTensor& tensor, std::int64_t first, std::int64_t n,
                                   StoredRows& rows) const {
  const Extent& extent = table_.at(tensor.sources.front()).extent;
  const PosixFile& file = *files_[static_cast<std::size_t>(index_of(extent.file))];
  const std::int64_t weight_bytes = rows.weight_stride, n_columns = tensor.head_rows();
  for (std::int64_t done = 0; done < n;) {
    const std::int64_t head = (first + done) / n_columns, column = (first + done) % n_columns;
    const std::int64_t piece = std::min(n - done, n_columns - column);
    for (std::int64_t i = 0; i < tensor.width; ++i) {
      const std::int64_t stored = (head * tensor.stored_head_rows + i) * n_columns + column;
      file.read_at(extent.offset_bytes + stored * weight_bytes,
                   std::span(rows.data.data() + (i * n + done) * weight_bytes,
                             static_cast<std::size_t>(piece * weight_bytes)));
    }
    done += piece;
  }
  rows.row_stride = weight_bytes;
  rows.weight_stride = n * weight_bytes;
}

}  // namespace windlass

#include <algorithm>

#include "src/base/check.h"
#include "src/base/units.h"
#include "tiers/block.h"

namespace windlass {
namespace {

constexpr std::int64_t kRowMultiple =
    16;  // kernels take rows by 4, 8 or 16: a block has no ragged tile

// Rows of each block of a matrix but the last. Blocks of one matrix are about equal: the size is
// divided, not cut from the front, so that no matrix ends in a sliver.
std::int64_t rows_per_block(std::int64_t n_rows, std::int64_t size_bytes,
                            std::int64_t target_bytes) {
  if (size_bytes - target_bytes < target_bytes / 2) return std::max<std::int64_t>(n_rows, 1);
  const std::int64_t n_blocks = (size_bytes + target_bytes / 2) / target_bytes;
  const std::int64_t rows = (n_rows + n_blocks - 1) / n_blocks;
  return rows < kRowMultiple ? rows : align_up(rows, kRowMultiple);
}

// Of a stack [matrices, rows, columns]; every other tensor is one matrix.
std::int64_t n_matrices(const TensorInfo& tensor) {
  return tensor.shape.size() == 3 ? tensor.shape.front() : 1;
}

bool same_file_in_order(const Extent& first, const Extent& second) {
  return first.file == second.file && second.offset_bytes >= first.end_bytes();
}

}  // namespace

BlockTable::BlockTable(const TensorTable& tensors, std::int64_t target_bytes) {
  WINDLASS_CHECK(target_bytes > 0, target_bytes);
  ranges_.reserve(tensors.tensors.size());
  blocks_.reserve(tensors.tensors.size() +
                  static_cast<std::size_t>(tensors.weight_bytes() / target_bytes));
  for (std::size_t i = 0; i < tensors.tensors.size(); ++i) {
    const TensorInfo& tensor = tensors.tensors[i];
    const std::int64_t n_rows = tensor.n_rows();
    const std::int64_t row_bytes = tensor.row_bytes();
    WINDLASS_CHECK(n_rows * row_bytes == tensor.extent.size_bytes, tensor.name, n_rows, row_bytes,
                   tensor.extent.size_bytes);
    WINDLASS_CHECK(
        i == 0 || index_of(tensor.extent.file) > index_of(tensors.tensors[i - 1].extent.file) ||
            same_file_in_order(tensors.tensors[i - 1].extent, tensor.extent),
        tensor.name, tensor.extent.offset_bytes);
    const std::int64_t matrix_rows = n_rows / std::max<std::int64_t>(n_matrices(tensor), 1);
    const std::int64_t step = rows_per_block(matrix_rows, matrix_rows * row_bytes, target_bytes);
    BlockRange range{BlockId{static_cast<std::int32_t>(blocks_.size())}, 0};
    for (std::int64_t row = 0; row < n_rows; ++range.count) {
      const std::int64_t rows = std::min(step, matrix_rows - row % matrix_rows);
      blocks_.push_back({TensorId{static_cast<std::int32_t>(i)}, row, rows,
                         Extent{tensor.extent.file, tensor.extent.offset_bytes + row * row_bytes,
                                rows * row_bytes}});
      row += rows;
    }
    ranges_.push_back(range);
  }
  blocks_.shrink_to_fit();
}

BlockRange BlockTable::of_matrix(TensorId tensor, std::int64_t index, std::int64_t n) const {
  const BlockRange all = of_tensor(tensor);
  WINDLASS_CHECK(index >= 0 && index < n && all.count % n == 0, index, n, all.count);
  const auto count = static_cast<std::int32_t>(all.count / n);
  return {BlockId{index_of(all.first) + static_cast<std::int32_t>(index) * count}, count};
}

std::int64_t BlockTable::size_bytes() const {
  return static_cast<std::int64_t>(blocks_.capacity() * sizeof(Block) +
                                   ranges_.capacity() * sizeof(BlockRange));
}

Run make_run(const BlockTable& table, BlockRange range) {
  WINDLASS_CHECK(range.count > 0, range.count);
  const Extent& first = table.at(range.first).extent;
  const Extent& last = table.at(BlockId{index_of(range.first) + range.count - 1}).extent;
  WINDLASS_CHECK(first.file == last.file, index_of(first.file), index_of(last.file));
  const std::int64_t begin = align_down(first.offset_bytes, kDirectAlignment);
  return {range, {first.file, begin, align_up(last.end_bytes(), kDirectAlignment) - begin}};
}

bool adjoins(const BlockTable& table, BlockId last, BlockId next) {
  if (index_of(next) != index_of(last) + 1) return false;
  const Extent& a = table.at(last).extent;
  const Extent& b = table.at(next).extent;
  return same_file_in_order(a, b) && b.offset_bytes - a.end_bytes() < kDirectAlignment;
}

}  // namespace windlass

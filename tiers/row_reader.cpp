// TierManager::fetch_rows: single rows of a tensor, resident ones in place, the others by small
// urgent reads.
#include <algorithm>
#include <array>

#include "src/base/check.h"
#include "src/base/units.h"
#include "tiers/tier_manager.h"

namespace windlass {

// Reads rows, given in ascending order, into cells of the staging: a cell is a row rounded out to 4
// KiB, grown over the rows that follow while they overlap or touch it. Up to kRowReads cells are in
// flight; the destructor ends them all.
class TierManager::RowReader {
 public:
  RowReader(DiskLink& link, FileId file, std::span<std::byte> staging)
      : link_(link), file_(file), staging_(staging) {
    WINDLASS_CHECK(reinterpret_cast<std::intptr_t>(staging.data()) % kDirectAlignment == 0);
  }
  ~RowReader() {
    while (count_ > 0) release_oldest();
  }
  RowReader(const RowReader&) = delete;
  RowReader& operator=(const RowReader&) = delete;

  // Where the row's bytes will be after finish().
  const std::byte* add(std::int64_t offset_bytes, std::int64_t size_bytes) {
    const std::int64_t begin = align_down(offset_bytes, kDirectAlignment);
    const std::int64_t end = align_up(offset_bytes + size_bytes, kDirectAlignment);
    if (begin > cell_end_ || begin < cell_begin_) {
      start_cell();
      cell_begin_ = cell_end_ = begin;
    }
    cell_end_ = std::max(cell_end_, end);
    const std::int64_t staged = used_bytes_ + cell_end_ - cell_begin_;
    WINDLASS_CHECK(staged <= std::ssize(staging_), staged, staging_.size());
    return staging_.data() + used_bytes_ + (offset_bytes - cell_begin_);
  }

  // Waits for everything added.
  void finish() {
    start_cell();
    cell_begin_ = cell_end_ = -1;
    while (count_ > 0) wait_oldest();
  }

 private:
  void start_cell() {
    const std::int64_t size_bytes = cell_end_ - cell_begin_;
    if (size_bytes == 0) return;
    if (count_ == kRowReads) wait_oldest();
    cells_[static_cast<std::size_t>((oldest_ + count_++) % kRowReads)] =
        link_.start({file_, cell_begin_, size_bytes}, staging_.data() + used_bytes_, kUrgent);
    link_.poll();
    used_bytes_ += size_bytes;
  }
  void wait_oldest() {
    link_.wait(cells_[static_cast<std::size_t>(oldest_)]);
    release_oldest();
  }
  void release_oldest() {
    link_.release(cells_[static_cast<std::size_t>(oldest_)]);
    oldest_ = (oldest_ + 1) % kRowReads;
    --count_;
  }

  DiskLink& link_;
  const FileId file_;
  const std::span<std::byte> staging_;
  std::int64_t used_bytes_ = 0;  // of the staging, by started cells
  std::int64_t cell_begin_ = -1,
               cell_end_ = -1;  // the cell that can still grow, in the file; empty: none
  std::array<TransferId, kRowReads> cells_{};  // in flight, a ring
  int oldest_ = 0, count_ = 0;
};

BlockId TierManager::block_of_row(TensorId tensor, std::int64_t row) const {
  WINDLASS_CHECK(row >= 0 && row < tensors_.at(tensor).n_rows(), row, index_of(tensor));
  // All blocks of a matrix but the last have the same number of rows; no stack has its rows
  // fetched.
  WINDLASS_CHECK(tensors_.at(tensor).shape.size() <= 2, index_of(tensor));
  const BlockId first = blocks_.of_tensor(tensor).first;
  return BlockId{index_of(first) + static_cast<std::int32_t>(row / blocks_.at(first).n_rows)};
}

std::int64_t TierManager::row_staging_bytes(TensorId tensor) const {
  return align_up(tensors_.at(tensor).row_bytes() + kDirectAlignment - 1, kDirectAlignment);
}

void TierManager::fetch_rows(TensorId tensor, std::span<const std::int32_t> rows,
                             std::span<std::byte> staging, std::span<const std::byte*> row_bytes) {
  WINDLASS_CHECK(rows.size() == row_bytes.size(), rows.size(), row_bytes.size());
  RowReader reader(link_, tensors_.at(tensor).extent.file, staging);
  while (!rows.empty()) {
    const std::size_t n = std::min<std::size_t>(rows.size(), kRowBatch);
    fetch_batch(tensor, rows.first(n), reader, row_bytes.first(n));
    rows = rows.subspan(n);
    row_bytes = row_bytes.subspan(n);
  }
  reader.finish();
}

void TierManager::fetch_batch(TensorId tensor, std::span<const std::int32_t> rows,
                              RowReader& reader, std::span<const std::byte*> row_bytes) {
  row_requests_.clear();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    row_requests_.push_back({rows[i], static_cast<std::int32_t>(i)});
  }
  std::sort(row_requests_.begin(), row_requests_.end(),
            [](const RowRequest& a, const RowRequest& b) { return a.row < b.row; });
  const TensorInfo& info = tensors_.at(tensor);
  const std::int64_t size_bytes = info.row_bytes();
  for (const RowRequest& request : row_requests_) {
    const BlockId id = block_of_row(tensor, request.row);
    const std::int64_t offset_bytes = info.extent.offset_bytes + request.row * size_bytes;
    row_bytes[static_cast<std::size_t>(request.index)] =
        present(id)
            ? residency_.lease(id).bytes() + (offset_bytes - blocks_.at(id).extent.offset_bytes)
            : reader.add(offset_bytes, size_bytes);
  }
}

}  // namespace windlass

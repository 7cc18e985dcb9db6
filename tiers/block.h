// The unit that is placed and moved, and the table of all blocks of a model.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/base/ids.h"
#include "src/format/tensor_table.h"

namespace windlass {

inline constexpr std::int64_t kDirectAlignment =
    4096;  // of offset, size and address of a direct read

// Rows [first_row, first_row + n_rows) of one tensor.
struct Block {
  TensorId tensor = kNoTensor;
  std::int64_t first_row = 0;
  std::int64_t n_rows = 0;
  Extent extent;  // exactly the block's bytes
};

// Contiguous block ids [first, first + count).
struct BlockRange {
  BlockId first{0};
  std::int32_t count = 0;
};

// Cuts every tensor into blocks of whole rows of about target_bytes; one of three dimensions, a
// stack of matrices, is cut at each matrix's end too, and every matrix alike. Ids ascend in (file,
// offset), so file neighbours have neighbouring ids. Immutable; about 56 B a block: 2.3 MB for 40
// GB at 1 MiB.
class BlockTable {
 public:
  // target_bytes > 0. A matrix smaller than 1.5 * target stays whole; rows a block are a multiple
  // of 16 where there are enough.
  BlockTable(const TensorTable& tensors, std::int64_t target_bytes);
  const Block& at(BlockId id) const { return blocks_[static_cast<std::size_t>(index_of(id))]; }
  std::span<const Block> blocks() const { return blocks_; }
  BlockRange of_tensor(TensorId tensor) const {
    return ranges_[static_cast<std::size_t>(index_of(tensor))];
  }
  // The blocks of matrix `index` of a stack of `n`. REQUIRES that the tensor is [n, rows, columns].
  BlockRange of_matrix(TensorId tensor, std::int64_t index, std::int64_t n) const;
  std::int64_t size_bytes() const;  // heap bytes of this table

 private:
  std::vector<Block> blocks_;
  std::vector<BlockRange> ranges_;
};

// One read: file-adjacent blocks (gaps below 4 KiB, tensor alignment padding, are read along) with
// its ends rounded out to 4 KiB.
struct Run {
  BlockRange blocks;
  Extent aligned;
};

// The run of `range`. REQUIRES: all of one file.
Run make_run(const BlockTable& table, BlockRange range);
// True when block `next` can extend a run that ends with block `last`: same file, adjacent id, gap
// below 4 KiB.
bool adjoins(const BlockTable& table, BlockId last, BlockId next);

}  // namespace windlass

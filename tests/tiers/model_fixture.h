// What the tests of this folder share: tensor tables without a model file, aligned memory, and a
// disk of random bytes.
#pragma once

#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/base/units.h"
#include "tests/support/temp_file.h"
#include "tiers/block.h"

namespace windlass {

struct AlignedMemory {
  explicit AlignedMemory(std::int64_t size)
      : size_bytes(align_up(size, kDirectAlignment)),
        memory(static_cast<std::byte*>(
            std::aligned_alloc(kDirectAlignment, static_cast<std::size_t>(size_bytes)))) {}
  std::byte* data() const { return memory.get(); }
  std::span<std::byte> span() const { return {data(), static_cast<std::size_t>(size_bytes)}; }

  struct Free {
    void operator()(std::byte* bytes) const { std::free(bytes); }
  };
  std::int64_t size_bytes;
  std::unique_ptr<std::byte, Free> memory;
};

// Appends a tensor after the last one of `file`, at the next multiple of 32.
inline void add_tensor(TensorTable& table, FileId file, DType type, std::vector<std::int64_t> shape,
                       std::int64_t first_offset_bytes = 0) {
  TensorInfo info;
  info.name = "tensor." + std::to_string(table.tensors.size());
  info.type = type;
  info.shape = std::move(shape);
  std::int64_t offset = first_offset_bytes;
  if (!table.tensors.empty() && table.tensors.back().extent.file == file) {
    offset = table.tensors.back().extent.end_bytes();
  }
  info.extent = {file, align_up(offset, 32), info.n_rows() * info.row_bytes()};
  table.tensors.push_back(std::move(info));
}

}  // namespace windlass

// Ids that must not mix. Each is an index into the table that its comment names.
#pragma once

#include <cstdint>

namespace windlass {

enum class TensorId : std::int32_t {};  // TensorTable::tensors
enum class FileId : std::int32_t {};    // TensorTable::files, DiskStore
enum class BlockId : std::int32_t {};   // BlockTable::blocks, ascending in (file, offset)
enum class BufferId : std::int32_t {};  // LayerGraph::buffers (activations)

inline constexpr TensorId kNoTensor{-1};
inline constexpr BufferId kNoBuffer{-1};

template <typename Id>
constexpr std::int32_t index_of(Id id) {
  return static_cast<std::int32_t>(id);
}

// A byte range of one file.
struct Extent {
  FileId file{0};
  std::int64_t offset_bytes = 0;
  std::int64_t size_bytes = 0;
  std::int64_t end_bytes() const { return offset_bytes + size_bytes; }
};

}  // namespace windlass

// What fuzz targets and corpus tests share: bytes in memory as a file, and the promises that every
// accepted table and graph keeps.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/format/read_at.h"
#include "src/model/layer_graph.h"

namespace windlass::testing {

inline ReadAt read_memory(std::span<const std::byte> file) {
  return [file](std::int64_t offset, std::span<std::byte> destination) {
    const auto size = static_cast<std::int64_t>(destination.size());
    WINDLASS_CHECK(offset >= 0 && offset + size <= static_cast<std::int64_t>(file.size()), offset,
                   size, file.size());
    std::memcpy(destination.data(), file.data() + offset, destination.size());
  };
}

// What every accepted table promises to the tiers: extents in the file, in order, apart, of the
// shape's size.
inline void check_table(const TensorTable& table, std::int64_t file_size) {
  std::int64_t end = 0;
  for (const TensorInfo& tensor : table.tensors) {
    const Extent& extent = tensor.extent;
    WINDLASS_CHECK(extent.offset_bytes >= end, extent.offset_bytes, end);
    WINDLASS_CHECK(extent.size_bytes == tensor.n_rows() * tensor.row_bytes(), extent.size_bytes);
    end = extent.end_bytes();
    WINDLASS_CHECK(end <= file_size, end, file_size);
  }
  for (const auto& [key, array] : table.arrays) {
    WINDLASS_CHECK(array.extent.offset_bytes > 0 && array.extent.end_bytes() <= file_size, key);
    WINDLASS_CHECK(array.n_elements <= array.extent.size_bytes, key, array.n_elements);
  }
}

// The matrices of a stacked weight lie inside it.
inline void check_stack(const GraphOp& op, const TensorTable& table) {
  for (std::int64_t i = 0; op.stack == StackKind::kRouted && i < op.n_stacked; ++i) {
    const TensorRows rows = stacked_rows(op, table, i);
    WINDLASS_CHECK(rows.n_rows > 0, op.label, rows.n_rows);
    WINDLASS_CHECK(rows.first_row + rows.n_rows <= table.at(rows.tensor).n_rows(), op.label, i);
  }
  if (op.stack != StackKind::kByVector) return;
  const MatrixRows& rows = op.matrix_rows;
  WINDLASS_CHECK(rows.first >= 0 && rows.count > 0 && rows.stride >= rows.count, op.label);
  const std::int64_t end = rows.first + (op.n_stacked - 1) * rows.stride + rows.count;
  WINDLASS_CHECK(end <= table.at(op.weight).n_rows(), op.label, end);
}

// Ops name buffers and tensors that exist.
inline void check_graph(const LayerGraph& graph, const TensorTable& table) {
  const auto n_buffers = static_cast<std::int32_t>(graph.buffers.size());
  const auto n_tensors = static_cast<std::int32_t>(table.tensors.size());
  for (const GraphOp& op : graph.ops) {
    for (const View& view : {op.in, op.in2, op.out}) {
      const std::int32_t id = index_of(view.buffer);
      WINDLASS_CHECK(id >= -1 && id < n_buffers, op.label, id);
      if (!view.present()) continue;
      const std::int64_t groups = (view.vectors - 1) / view.per_group;
      const std::int64_t in_group = std::min(view.vectors, view.per_group) - 1;
      const std::int64_t end = view.column + groups * view.group_stride +
                               in_group * view.vector_stride + graph.width_of(view);
      WINDLASS_CHECK(end <= graph.buffer(view.buffer).width, op.label, end);
    }
    WINDLASS_CHECK(index_of(op.weight) < n_tensors, op.label, index_of(op.weight));
    check_stack(op, table);
  }
}

inline void check_message(const Error& error) {
  const std::string text = error.what();
  WINDLASS_CHECK(!text.empty() && text.find('\n') == std::string::npos, text);
}

}  // namespace windlass::testing

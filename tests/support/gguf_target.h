// What the GGUF fuzzer and the corpus tests run over untrusted bytes: parse, index, model spec,
// layer graph.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/format/gguf.h"
#include "src/model/layer_graph.h"
#include "src/model/model_spec.h"

namespace windlass::testing {

inline ReadAt read_memory(std::span<const std::byte> file) {
  return [file](std::int64_t offset, std::span<std::byte> destination) {
    const auto size = static_cast<std::int64_t>(destination.size());
    WINDLASS_CHECK(offset >= 0 && offset + size <= static_cast<std::int64_t>(file.size()), offset,
                   size, file.size());
    std::memcpy(destination.data(), file.data() + offset, destination.size());
  };
}

enum class GgufOutcome { kRefused, kParsed, kModel };

struct GgufResult {
  GgufOutcome outcome = GgufOutcome::kRefused;
  std::string error;  // of the first stage that refused
};

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
  }
}

inline void check_message(const Error& error) {
  const std::string text = error.what();
  WINDLASS_CHECK(!text.empty() && text.find('\n') == std::string::npos, text);
}

// Only a bug of ours leaves this other than by return: any exception but Error, or a failed check.
inline GgufResult run_gguf_target(std::span<const std::byte> file) {
  GgufResult result;
  const auto size = static_cast<std::int64_t>(file.size());
  try {
    TensorTable table;
    parse_gguf(read_memory(file), "memory.gguf", size, FileId{0}, table);
    table.build_index();
    check_table(table, size);
    result.outcome = GgufOutcome::kParsed;
    const ModelSpec spec = read_model_spec(table);
    check_graph(build_layer_graph(spec, table, Activations::kInt8), table);
    check_graph(build_layer_graph(spec, table, Activations::kExact), table);
    result.outcome = GgufOutcome::kModel;
  } catch (const Error& error) {
    check_message(error);
    result.error = error.what();
  }
  return result;
}

}  // namespace windlass::testing

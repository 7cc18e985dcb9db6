#include "pipeline/activations.h"

#include <algorithm>

#include "src/base/units.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

constexpr std::int64_t kRowAlignment = 64;  // one cache line, one zmm

class Carver {
 public:
  std::int64_t take(std::int64_t size_bytes) {
    const std::int64_t offset = next_;
    next_ += align_up(size_bytes, kRowAlignment);
    return offset;
  }
  std::int64_t total() const { return next_; }

 private:
  std::int64_t next_ = 0;
};

std::int64_t row_stride_bytes(const BufferSpec& buffer, std::int64_t tile_columns) {
  if (buffer.kind == BufferKind::kQ8) return buffer.vectors * q8_row_bytes(buffer.width);
  if (buffer.kind == BufferKind::kBf16) return buffer.vectors * bf16_row_bytes(buffer.width);
  return (buffer.tiled ? tile_columns : buffer.width) * static_cast<std::int64_t>(sizeof(float));
}

std::int64_t widest_row(const LayerGraph& graph) {
  std::int64_t width = 0;
  for (const BufferSpec& buffer : graph.buffers) {
    if (!buffer.tiled) width = std::max(width, buffer.width);
  }
  return width;
}

std::int64_t most_heads(const LayerGraph& graph) {
  std::int64_t heads = 0;
  for (const GraphOp& op : graph.ops) {
    if (op.kind == OpKind::kAttention) heads = std::max(heads, op.in.vectors);
  }
  return heads;
}

RoutingLayout carve_routing(const ExpertSpec& experts, std::int64_t token_rows, Carver& carver) {
  constexpr std::int64_t kCellBytes = 4;  // int32 and f32
  const std::int64_t choices_bytes = token_rows * experts.n_used * kCellBytes;
  RoutingLayout routing;
  routing.experts_offset = carver.take(choices_bytes);
  routing.shares_offset = carver.take(choices_bytes);
  routing.places_offset = carver.take(choices_bytes);
  routing.sources_offset = carver.take(choices_bytes);
  routing.ends_offset = carver.take(experts.n_experts * kCellBytes);
  return routing;
}

}  // namespace

ActivationLayout make_activation_layout(const LayerGraph& graph, const ModelSpec& spec,
                                        std::int64_t token_rows, std::int64_t logits_rows,
                                        std::int64_t tile_columns, std::int64_t context_tokens) {
  ActivationLayout layout;
  layout.token_rows = token_rows;
  layout.logits_rows = logits_rows;
  layout.tile_columns = tile_columns;
  Carver carver;
  for (const BufferSpec& buffer : graph.buffers) {
    const std::int64_t rows = buffer.rows == RowSet::kLogits   ? logits_rows
                              : buffer.rows == RowSet::kRouted ? token_rows * spec.experts.n_used
                                                               : token_rows;
    const std::int64_t stride = row_stride_bytes(buffer, tile_columns);
    layout.row_strides.push_back(stride);
    layout.offsets.push_back(carver.take(rows * stride));
  }
  constexpr auto kFloatBytes = static_cast<std::int64_t>(sizeof(float));
  layout.rope_offset = carver.take(token_rows * spec.rope.dims * kFloatBytes);
  layout.window_rope_offset =
      carver.take(spec.window_rope ? token_rows * spec.window_rope->dims * kFloatBytes : 0);
  layout.positions_offset =
      carver.take(token_rows * static_cast<std::int64_t>(sizeof(std::int32_t)));
  layout.selected_offset =
      carver.take(logits_rows * static_cast<std::int64_t>(sizeof(std::int32_t)));
  layout.routing = carve_routing(spec.experts, token_rows, carver);
  layout.vector_offset = carver.take(widest_row(graph) * kFloatBytes);
  layout.partials_bytes =
      splits_of(context_tokens) * most_heads(graph) * partial_floats(spec.value_dim) * kFloatBytes;
  layout.partials_offset = carver.take(layout.partials_bytes);
  layout.size_bytes = carver.total();
  return layout;
}

std::int64_t default_micro_batch(const LayerGraph& graph, const ModelSpec& spec,
                                 std::int64_t weight_bytes) {
  const std::int64_t limit = std::max(8 * kMiB, weight_bytes / 16);
  std::int64_t rows = 512;
  while (rows > 16 && make_activation_layout(graph, spec, rows, 1, 1, 0).size_bytes > limit) {
    rows /= 2;
  }
  return rows;
}

}  // namespace windlass

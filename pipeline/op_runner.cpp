#include "pipeline/op_runner.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "src/base/check.h"

namespace windlass {

OpRunner::OpRunner(const OpRunnerParts& parts) : parts_(parts), layout_(&parts.layout) {
  std::int64_t cell = 0;
  for (const GraphOp& op : parts_.graph.ops) {
    if (fetches_rows(op.kind)) cell = std::max(cell, parts_.tiers.row_staging_bytes(op.weight));
  }
  if (cell == 0) return;
  const std::int64_t rows = static_cast<std::int64_t>(parts_.staging.size()) / cell;
  WINDLASS_CHECK(rows >= 1, parts_.staging.size(), cell);
  row_pointers_.resize(static_cast<std::size_t>(rows));
  position_rows_.resize(static_cast<std::size_t>(rows));
}

void OpRunner::begin_step(const StepInput& step) {
  rows_ = step.rows();
  logits_rows_ = step.logits_rows();
  const ActivationLayout& few = parts_.decode_layout;
  const bool fits_few = rows_ <= few.token_rows && logits_rows_ <= few.logits_rows;
  layout_ = fits_few ? &few : &parts_.layout;
  WINDLASS_CHECK(rows_ >= 1 && rows_ <= layout_->token_rows, rows_, layout_->token_rows);
  WINDLASS_CHECK(logits_rows_ <= layout_->logits_rows, logits_rows_, layout_->logits_rows);
  std::int64_t row = 0;
  for (const Span& span : step.spans) {
    for (std::size_t i = 0; i < span.ids.size(); ++i, ++row) {
      const std::int64_t position = span.first_position + static_cast<std::int64_t>(i);
      positions()[row] = static_cast<std::int32_t>(position);
      fill_angles(parts_.rope, layout_->rope_offset, row, position);
      if (!parts_.spec.window_rope) continue;
      fill_angles(parts_.window_rope, layout_->window_rope_offset, row, position);
    }
  }
}

void OpRunner::fill_angles(const RopeTable& table, std::int64_t offset, std::int64_t row,
                           std::int64_t position) {
  auto* cos = reinterpret_cast<float*>(parts_.activations + offset);
  float* sin = cos + layout_->token_rows * table.pairs();
  table.fill(position, cos + row * table.pairs(), sin + row * table.pairs());
}

void OpRunner::run(std::span<const ReadyEntry> entries, const StepInput& step) {
  const ReadyEntry& first = entries.front();
  if (entries.size() > 1) return mat_muls(entries);
  run_alone(*first.entry, first.weights, step);
}

void OpRunner::run_alone(const ComputeEntry& entry, const std::byte* weights,
                         const StepInput& step) {
  const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(entry.op)];
  switch (op.kind) {
    case OpKind::kEmbedRows:
      return embed_rows(op, step);
    case OpKind::kEmbedPositions:
      return embed_positions(op);
    case OpKind::kRmsNorm:
    case OpKind::kLayerNorm:
      return norm(op, weights);
    case OpKind::kQuantizeRows:
      return quantize_rows(op);
    case OpKind::kMatMul:
      if (op.stack == StackKind::kByVector) return mat_mul_by_vector(op, entry, weights);
      if (parts_.tensors.at(op.weight).transposed) return mat_mul_transposed(op, entry, weights);
      return mat_muls(std::array{ReadyEntry{&entry, weights}});
    case OpKind::kAddBias:
    case OpKind::kAdd:
      return add(op, weights);
    case OpKind::kRope:
      return rope(op);
    case OpKind::kKvAppend:
      return kv_append(op, step);
    case OpKind::kAttention:
      return attention(op, step);
    case OpKind::kActivate:
      return activate(op);
    case OpKind::kScale:
      return scale(op, entry);
    case OpKind::kSelectRows:
      return select_rows(op, step);
    case OpKind::kEmitLogits:
      return emit_logits(op, entry, step);
    case OpKind::kRoute:
      return route(op, weights);
    case OpKind::kGatherRouted:
      return gather_routed(op);
    case OpKind::kCombineRouted:
      return combine_routed(op);
  }
}

std::byte* OpRunner::bytes(BufferId id) const {
  return parts_.activations + layout_->offsets[static_cast<std::size_t>(index_of(id))];
}

float* OpRunner::floats(const View& view) const {
  return reinterpret_cast<float*>(bytes(view.buffer)) + view.column;
}

std::int64_t OpRunner::stride(const View& view) const {
  return layout_->row_strides[static_cast<std::size_t>(index_of(view.buffer))] /
         static_cast<std::int64_t>(sizeof(float));
}

Q8Layout OpRunner::q8_layout(BufferId id) const {
  const BufferSpec& buffer = parts_.graph.buffer(id);
  const std::int64_t rows = buffer.rows == RowSet::kLogits ? logits_rows_ : rows_;
  // Of some, products take a part of the rows, or of each row.
  const bool whole = buffer.vectors == 1 && buffer.rows != RowSet::kRouted;
  if (whole) return windlass::q8_layout(rows, buffer.width);
  return {layout_->row_strides[static_cast<std::size_t>(index_of(id))], sizeof(Q8Block)};
}

Vectors OpRunner::vectors(const View& view, std::int64_t first_row) const {
  return {floats(view) + first_row * stride(view), stride(view), view.per_group, view.group_stride,
          view.vector_stride};
}

std::int32_t* OpRunner::positions() const {
  return reinterpret_cast<std::int32_t*>(parts_.activations + layout_->positions_offset);
}

// REQUIRES: no more rows than row_pointers_ holds.
void OpRunner::fetch(const GraphOp& op, std::span<const std::int32_t> rows, float* out) {
  const TensorInfo& tensor = parts_.tensors.at(op.weight);
  parts_.tiers.fetch_rows(op.weight, rows, parts_.staging,
                          std::span(row_pointers_).first(rows.size()));
  const DequantizeRowsArgs args{row_pointers_.data(), out, static_cast<std::int64_t>(rows.size()),
                                tensor.n_cols()};
  run_op(parts_.team, parts_.ops.dequantize_rows[static_cast<std::size_t>(tensor.type)], args);
}

void OpRunner::embed_rows(const GraphOp& op, const StepInput& step) {
  float* out = floats(op.out);
  for (const Span& span : step.spans) {
    for (std::size_t done = 0; done < span.ids.size();) {
      const std::size_t n = std::min(span.ids.size() - done, row_pointers_.size());
      fetch(op, span.ids.subspan(done, n), out);
      out += static_cast<std::int64_t>(n) * stride(op.out);
      done += n;
    }
  }
}

void OpRunner::embed_positions(const GraphOp& op) {
  for (std::int64_t row = 0; row < rows_;) {
    const std::int64_t n = std::min(rows_ - row, std::ssize(position_rows_));
    for (std::int64_t i = 0; i < n; ++i) {
      position_rows_[static_cast<std::size_t>(i)] =
          positions()[row + i] + static_cast<std::int32_t>(op.first_row);
    }
    fetch(op, std::span(position_rows_).first(static_cast<std::size_t>(n)),
          floats(op.out) + row * stride(op.out));
    row += n;
  }
}

void OpRunner::select_rows(const GraphOp& op, const StepInput& step) {
  const std::int64_t width = parts_.graph.width_of(op.in);
  const float* in = floats(op.in);
  float* out = floats(op.out);
  for (const Span& span : step.spans) {
    const auto tokens = static_cast<std::int64_t>(span.ids.size());
    const float* wanted = in + (tokens - span.logits_rows) * width;
    std::memcpy(out, wanted, static_cast<std::size_t>(span.logits_rows * width) * sizeof(float));
    in += tokens * width;
    out += span.logits_rows * width;
  }
}

void OpRunner::emit_logits(const GraphOp& op, const ComputeEntry& entry, const StepInput& step) {
  step.sink({logits_rows_, entry.first_row, entry.n_rows, floats(op.in), stride(op.in)});
}

}  // namespace windlass

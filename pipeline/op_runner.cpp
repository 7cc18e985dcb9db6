#include "pipeline/op_runner.h"

#include <algorithm>

#include "src/base/check.h"

namespace windlass {

OpRunner::OpRunner(const OpRunnerParts& parts)
    : OpBinder(parts.binder, parts.backend), tiers_(parts.tiers), staging_(parts.staging) {
  std::int64_t cell = 0;
  for (const GraphOp& op : parts_.graph.ops) {
    if (fetches_rows(op.kind)) cell = std::max(cell, tiers_.row_staging_bytes(op.weight));
  }
  if (cell == 0) return;
  const std::int64_t rows = static_cast<std::int64_t>(staging_.size()) / cell;
  WINDLASS_CHECK(rows >= 1, staging_.size(), cell);
  row_pointers_.resize(static_cast<std::size_t>(rows));
  position_rows_.resize(static_cast<std::size_t>(rows));
}

void OpRunner::begin_step(const StepInput& step) {
  OpBinder::begin_step(step);
  auto* selected = table<std::int32_t>(layout().selected_offset);
  std::int64_t row = 0;
  for (const Span& span : step.spans) {
    const std::int64_t end = row + std::ssize(span.ids);
    for (std::int64_t i = end - span.logits_rows; i < end; ++i)
      *selected++ = static_cast<std::int32_t>(i);
    for (std::int64_t position = span.first_position; row < end; ++row, ++position) {
      positions()[row] = static_cast<std::int32_t>(position);
      fill_angles(parts_.rope, layout().rope_offset, row, position);
      if (!parts_.spec.window_rope) continue;
      fill_angles(parts_.window_rope, layout().window_rope_offset, row, position);
    }
  }
}

void OpRunner::fill_angles(const RopeTable& angles, std::int64_t offset, std::int64_t row,
                           std::int64_t position) {
  auto* cos = table<float>(offset);
  float* sin = cos + layout().token_rows * angles.pairs();
  angles.fill(position, cos + row * angles.pairs(), sin + row * angles.pairs());
}

void OpRunner::run(std::span<const ReadyEntry> entries, const StepInput& step) {
  if (entries.size() > 1) return mat_muls(entries);
  const ReadyEntry& ready = entries.front();
  const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(ready.entry->op)];
  if (has(op)) return OpBinder::run(ready, step);
  run_on_host(op, ready, step);
}

void OpRunner::run_on_host(const GraphOp& op, const ReadyEntry& ready, const StepInput& step) {
  switch (op.kind) {
    case OpKind::kEmbedRows:
      return embed_rows(op, step);
    case OpKind::kEmbedPositions:
      return embed_positions(op);
    case OpKind::kEmitLogits:
      return emit_logits(op, *ready.entry, step);
    case OpKind::kRoute:
      return route(op, ready.weights);
    case OpKind::kGatherRouted:
      return gather(op, layout().routing.sources_offset);
    case OpKind::kCombineRouted:
      return combine_routed(op);
    default:
      return mat_mul_by_vector(op, *ready.entry, ready.weights);
  }
}

// REQUIRES: no more rows than row_pointers_ holds.
void OpRunner::fetch(const GraphOp& op, std::span<const std::int32_t> rows, float* out) {
  const TensorInfo& tensor = parts_.tensors.at(op.weight);
  tiers_.fetch_rows(op.weight, rows, staging_, std::span(row_pointers_).first(rows.size()));
  const DequantizeRowsArgs args{row_pointers_.data(), out, static_cast<std::int64_t>(rows.size()),
                                tensor.n_cols()};
  backend_.run(backend_.ops.dequantize_rows[static_cast<std::size_t>(tensor.type)], args);
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
  for (std::int64_t row = 0; row < rows();) {
    const std::int64_t n = std::min(rows() - row, std::ssize(position_rows_));
    for (std::int64_t i = 0; i < n; ++i) {
      position_rows_[static_cast<std::size_t>(i)] =
          positions()[row + i] + static_cast<std::int32_t>(op.first_row);
    }
    fetch(op, std::span(position_rows_).first(static_cast<std::size_t>(n)),
          floats(op.out) + row * stride(op.out));
    row += n;
  }
}

void OpRunner::emit_logits(const GraphOp& op, const ComputeEntry& entry, const StepInput& step) {
  step.sink({logits_rows(), entry.first_row, entry.n_rows, floats(op.in), stride(op.in)});
}

}  // namespace windlass

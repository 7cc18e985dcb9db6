#include "pipeline/op_runner.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "src/base/check.h"

namespace windlass {

OpRunner::OpRunner(const OpRunnerParts& parts) : parts_(parts), layout_(&parts.layout) {
  for (const GraphOp& op : parts_.graph.ops) {
    if (op.kind != OpKind::kEmbedRows) continue;
    const std::int64_t cell = parts_.tiers.row_staging_bytes(op.weight);
    fetch_rows_ = static_cast<std::int64_t>(parts_.staging.size()) / cell;
    WINDLASS_CHECK(fetch_rows_ >= 1, parts_.staging.size(), cell);
    row_pointers_.resize(static_cast<std::size_t>(fetch_rows_));
  }
}

void OpRunner::begin_step(const StepInput& step) {
  rows_ = step.rows();
  logits_rows_ = step.logits_rows();
  layout_ = rows_ == 1 && logits_rows_ <= 1 ? &parts_.one_row_layout : &parts_.layout;
  WINDLASS_CHECK(rows_ >= 1 && rows_ <= layout_->token_rows, rows_, layout_->token_rows);
  WINDLASS_CHECK(logits_rows_ <= layout_->logits_rows, logits_rows_, layout_->logits_rows);
  auto* positions = reinterpret_cast<std::int32_t*>(parts_.activations + layout_->positions_offset);
  auto* cos = reinterpret_cast<float*>(parts_.activations + layout_->rope_cos_offset);
  auto* sin = reinterpret_cast<float*>(parts_.activations + layout_->rope_sin_offset);
  std::int64_t row = 0;
  for (const Span& span : step.spans) {
    for (std::size_t i = 0; i < span.ids.size(); ++i, ++row) {
      const std::int64_t position = span.first_position + static_cast<std::int64_t>(i);
      positions[row] = static_cast<std::int32_t>(position);
      parts_.rope.fill(position, cos + row * parts_.rope.pairs(), sin + row * parts_.rope.pairs());
    }
  }
}

void OpRunner::run(const ComputeEntry& entry, const std::byte* weights, const StepInput& step) {
  const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(entry.op)];
  switch (op.kind) {
    case OpKind::kEmbedRows:
      return embed_rows(op, step);
    case OpKind::kRmsNorm:
      return rms_norm(op, weights);
    case OpKind::kQuantizeRows:
      return quantize_rows(op);
    case OpKind::kMatMul:
      return mat_mul(op, entry, weights);
    case OpKind::kRope:
      return rope(op);
    case OpKind::kKvAppend:
      return kv_append(op, step);
    case OpKind::kAttention:
      return attention(op, step);
    case OpKind::kSwiGlu:
      return swiglu(op);
    case OpKind::kSelectRows:
      return select_rows(op, step);
    case OpKind::kEmitLogits:
      return emit_logits(op, entry, step);
  }
}

std::byte* OpRunner::bytes(BufferId id) const {
  return parts_.activations + layout_->offsets[static_cast<std::size_t>(index_of(id))];
}

const BufferSpec& OpRunner::spec_of(BufferId id) const {
  return parts_.graph.buffers[static_cast<std::size_t>(index_of(id))];
}

void OpRunner::embed_rows(const GraphOp& op, const StepInput& step) {
  const TensorInfo& tensor = parts_.tensors.at(op.weight);
  const auto dequantize = parts_.ops.dequantize_rows[static_cast<std::size_t>(tensor.type)];
  float* out = floats(op.out);
  for (const Span& span : step.spans) {
    for (std::size_t done = 0; done < span.ids.size();) {
      const std::size_t n = std::min(span.ids.size() - done, row_pointers_.size());
      parts_.tiers.fetch_rows(op.weight, span.ids.subspan(done, n), parts_.staging,
                              std::span(row_pointers_).first(n));
      const DequantizeRowsArgs args{row_pointers_.data(), out, static_cast<std::int64_t>(n),
                                    tensor.n_cols()};
      run_op(parts_.team, dequantize, args);
      out += static_cast<std::int64_t>(n) * tensor.n_cols();
      done += n;
    }
  }
}

void OpRunner::rms_norm(const GraphOp& op, const std::byte* weights) {
  const RmsNormArgs args{floats(op.in),        reinterpret_cast<const float*>(weights),
                         floats(op.out),       rows_of(op),
                         spec_of(op.in).width, parts_.spec.norm_epsilon};
  run_op(parts_.team, parts_.ops.rms_norm, args);
}

void OpRunner::quantize_rows(const GraphOp& op) {
  const QuantizeRowsArgs args{floats(op.in), bytes(op.out), rows_of(op), spec_of(op.in).width};
  run_op(parts_.team, parts_.ops.quantize_rows, args);
}

void OpRunner::mat_mul(const GraphOp& op, const ComputeEntry& entry, const std::byte* weights) {
  const TensorInfo& tensor = parts_.tensors.at(op.weight);
  const BufferSpec& out = spec_of(op.out);
  const auto stride = layout_->row_strides[static_cast<std::size_t>(index_of(op.out))];
  MatMulArgs args;
  args.weights = weights;
  args.row_bytes = tensor.row_bytes();
  args.n_out = entry.n_rows;
  args.n_in = tensor.n_cols();
  args.x = bytes(op.in);
  args.n_tokens = rows_of(op);
  args.out = floats(op.out) + (out.tiled ? 0 : entry.first_row);
  args.out_stride = stride / static_cast<std::int64_t>(sizeof(float));
  args.accumulate = op.accumulate;
  const bool int8 = spec_of(op.in).kind == BufferKind::kQ8;
  const auto& row = int8 ? parts_.ops.matmul_q8 : parts_.ops.matmul_f32;
  run_op(parts_.team, row[static_cast<std::size_t>(tensor.type)], args);
}

void OpRunner::rope(const GraphOp& op) {
  RopeArgs args;
  args.x = floats(op.in);
  args.cos = reinterpret_cast<const float*>(parts_.activations + layout_->rope_cos_offset);
  args.sin = reinterpret_cast<const float*>(parts_.activations + layout_->rope_sin_offset);
  args.tokens = rows_;
  args.heads = op.heads;
  args.head_dim = parts_.spec.head_dim;
  args.dims = parts_.spec.rope.dims;
  args.interleaved = parts_.spec.rope.interleaved;
  run_op(parts_.team, parts_.ops.rope, args);
}

void OpRunner::kv_append(const GraphOp& op, const StepInput& step) {
  const float* k = floats(op.in);
  const float* v = floats(op.in2);
  for (const Span& span : step.spans) {
    const KvShape& shape = span.kv->shape();
    const auto tokens = static_cast<std::int64_t>(span.ids.size());
    const KvAppendArgs args{k,
                            v,
                            span.kv->pages(op.layer),
                            span.first_position,
                            tokens,
                            shape.n_kv_heads,
                            shape.head_dim,
                            kKvPageTokens};
    run_op(parts_.team, parts_.ops.kv_append[static_cast<std::size_t>(shape.type)], args);
    k += tokens * parts_.spec.kv_dim();
    v += tokens * parts_.spec.kv_dim();
  }
}

void OpRunner::attention(const GraphOp& op, const StepInput& step) {
  const float* q = floats(op.in);
  float* out = floats(op.out);
  const auto* positions =
      reinterpret_cast<const std::int32_t*>(parts_.activations + layout_->positions_offset);
  for (const Span& span : step.spans) {
    const KvShape& shape = span.kv->shape();
    const auto tokens = static_cast<std::int64_t>(span.ids.size());
    const KvSegment segment{span.kv->pages(op.layer), span.first_position + tokens, 0, true};
    AttentionArgs args;
    args.q = q;
    args.out = out;
    args.segments = &segment;
    args.n_segments = 1;
    args.positions = positions;
    args.tokens = tokens;
    args.heads = parts_.spec.n_heads;
    args.kv_heads = shape.n_kv_heads;
    args.head_dim = shape.head_dim;
    args.page_tokens = kKvPageTokens;
    args.scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim));
    run_op(parts_.team, parts_.ops.attention[static_cast<std::size_t>(shape.type)], args);
    q += tokens * parts_.spec.q_dim();
    out += tokens * parts_.spec.q_dim();
    positions += tokens;
  }
}

void OpRunner::swiglu(const GraphOp& op) {
  const SwiGluArgs args{floats(op.in), floats(op.in2), floats(op.out), rows_of(op),
                        spec_of(op.in).width};
  run_op(parts_.team, parts_.ops.swiglu, args);
}

void OpRunner::select_rows(const GraphOp& op, const StepInput& step) {
  const std::int64_t width = spec_of(op.in).width;
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
  const std::int64_t stride = layout_->row_strides[static_cast<std::size_t>(index_of(op.in))];
  step.sink({logits_rows_, entry.first_row, entry.n_rows, floats(op.in),
             stride / static_cast<std::int64_t>(sizeof(float))});
}

}  // namespace windlass

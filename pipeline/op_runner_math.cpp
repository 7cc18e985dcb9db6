// OpRunner's arithmetic ops: each fills its argument struct from the graph op's views and fields.
#include <span>

#include "pipeline/job_batch.h"
#include "pipeline/op_runner.h"
#include "src/base/check.h"

namespace windlass {

const float* OpRunner::row_of_floats(const GraphOp& op, const std::byte* weights) {
  const TensorInfo& tensor = parts_.tensors.at(op.weight);
  const bool aligned = reinterpret_cast<std::uintptr_t>(weights) % alignof(float) == 0;
  if (tensor.type == DType::kF32 && aligned) return reinterpret_cast<const float*>(weights);
  auto* widened = reinterpret_cast<float*>(parts_.activations + layout_->vector_offset);
  const DequantizeRowsArgs args{&weights, widened, 1, tensor.n_cols()};
  run_op(parts_.team, parts_.ops.dequantize_rows[static_cast<std::size_t>(tensor.type)], args);
  return widened;
}

void OpRunner::norm(const GraphOp& op, const std::byte* weights) {
  NormArgs args;
  args.in = vectors(op.in);
  args.out = vectors(op.out);
  args.weight = row_of_floats(op, weights);
  args.rows = rows_of(op);
  args.vectors = op.in.vectors;
  args.width = parts_.graph.width_of(op.in);
  args.epsilon = parts_.spec.norm_epsilon;
  args.weight_offset = parts_.spec.norm_weight_offset;
  const bool rms = op.kind == OpKind::kRmsNorm;
  run_op(parts_.team, rms ? parts_.ops.rms_norm : parts_.ops.layer_norm, args);
}

void OpRunner::quantize_rows(const GraphOp& op) {
  const std::int64_t n = op.in.vectors, row = stride(op.in);
  // Vectors that are not side by side in the whole row would need a stride of their own.
  WINDLASS_CHECK(n == 1 || n * op.in.vector_stride == row, op.label, n, op.in.vector_stride, row);
  QuantizeRowsArgs args;
  args.in = floats(op.in);
  args.out = bytes(op.out.buffer);
  args.rows = rows_of(op) * n;
  args.width = parts_.graph.width_of(op.in);
  args.in_stride = n == 1 ? row : op.in.vector_stride;
  const bool q8 = parts_.graph.buffer(op.out.buffer).kind == BufferKind::kQ8;
  if (q8 && n == 1) args.layout = q8_layout(op.out.buffer);
  run_op(parts_.team, q8 ? parts_.ops.quantize_rows : parts_.ops.round_rows, args);
}

// Of the entry's rows, whatever matrix they are of.
MatMulArgs OpRunner::mat_mul_args(const GraphOp& op, const ComputeEntry& entry,
                                  const std::byte* weights) const {
  const TensorInfo& tensor = parts_.tensors.at(op.weight);
  MatMulArgs args;
  args.weights = weights;
  args.row_bytes = tensor.row_bytes();
  args.n_out = entry.n_rows;
  args.n_in = tensor.n_cols();
  args.x = floats(op.in);
  args.x_stride_bytes = layout_->row_strides[static_cast<std::size_t>(index_of(op.in.buffer))];
  if (parts_.graph.buffer(op.in.buffer).kind == BufferKind::kQ8) {
    const Q8Layout layout = q8_layout(op.in.buffer);
    args.x_stride_bytes = layout.row_bytes;
    args.x_block_bytes = layout.block_bytes;
  }
  args.n_tokens = rows_of(op);
  args.out = floats(op.out);
  args.out_stride = stride(op.out);
  args.accumulate = op.accumulate;
  return args;
}

auto OpRunner::mat_mul_function(const GraphOp& op) const -> MatMulFunction {
  const BufferKind kind = parts_.graph.buffer(op.in.buffer).kind;
  const auto& row = kind == BufferKind::kQ8     ? parts_.ops.matmul_q8
                    : kind == BufferKind::kBf16 ? parts_.ops.matmul_bf16
                                                : parts_.ops.matmul_f32;
  return row[static_cast<std::size_t>(parts_.tensors.at(op.weight).type)];
}

MatMulArgs OpRunner::placed_args(const GraphOp& op, const ComputeEntry& entry,
                                 const std::byte* weights) const {
  MatMulArgs args = mat_mul_args(op, entry, weights);
  if (!parts_.graph.buffer(op.out.buffer).tiled) args.out += entry.first_row;
  if (op.stack != StackKind::kRouted) return args;
  const WorkRange rows = rows_of_expert(entry.matrix);
  args.x = static_cast<const std::byte*>(args.x) + rows.begin * args.x_stride_bytes;
  args.out += rows.begin * args.out_stride;
  args.n_tokens = rows.end - rows.begin;
  return args;
}

void OpRunner::mat_muls(std::span<const ReadyEntry> entries) {
  JobBatch<MatMulArgs> products(parts_.team);
  for (const ReadyEntry& ready : entries) {
    const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(ready.entry->op)];
    const MatMulArgs args = placed_args(op, *ready.entry, ready.weights);
    if (args.n_tokens > 0) products.add(mat_mul_function(op), args);
  }
  products.run();
}

MatMulTransposedArgs OpRunner::mat_mul_transposed_args(const GraphOp& op, const ComputeEntry& entry,
                                                       const std::byte* weights) const {
  const TensorInfo& tensor = parts_.tensors.at(op.weight);
  MatMulTransposedArgs args;
  args.weights = weights;
  args.row_bytes = tensor.row_bytes();
  args.n_out = tensor.n_cols();
  args.n_in = entry.n_rows;
  args.x = floats(op.in);
  args.x_stride = stride(op.in);
  args.n_tokens = rows_of(op);
  args.out = floats(op.out);
  args.out_stride = stride(op.out);
  args.accumulate = op.accumulate;
  return args;
}

// Rows of the tensor are inputs: entries of one op follow each other in row order, and each adds to
// what those before it left.
void OpRunner::mat_mul_transposed(const GraphOp& op, const ComputeEntry& entry,
                                  const std::byte* weights) {
  MatMulTransposedArgs args = mat_mul_transposed_args(op, entry, weights);
  args.x += entry.first_row;
  args.accumulate = op.accumulate || entry.first_row > 0;
  const DType type = parts_.tensors.at(op.weight).type;
  run_op(parts_.team, parts_.ops.matmul_transposed[static_cast<std::size_t>(type)], args);
}

void OpRunner::add(const GraphOp& op, const std::byte* weights) {
  AddArgs args;
  const bool bias = op.kind == OpKind::kAddBias;
  args.in = bias ? row_of_floats(op, weights) : floats(op.in);
  args.in_stride = bias ? 0 : stride(op.in);
  args.out = floats(op.out);
  args.out_stride = stride(op.out);
  args.rows = rows_of(op);
  args.width = parts_.graph.width_of(op.out);
  run_op(parts_.team, parts_.ops.add, args);
}

void OpRunner::rope(const GraphOp& op) {
  const RopeTable& table = op.window_rope ? parts_.window_rope : parts_.rope;
  const std::int64_t offset = op.window_rope ? layout_->window_rope_offset : layout_->rope_offset;
  RopeArgs args;
  args.x = vectors(op.in);
  if (op.out.buffer != op.in.buffer) args.out = vectors(op.out);
  args.cos = reinterpret_cast<const float*>(parts_.activations + offset);
  args.sin = args.cos + layout_->token_rows * table.pairs();
  args.tokens = rows_;
  args.heads = op.in.vectors;
  args.dims = 2 * table.pairs();
  args.interleaved = parts_.spec.rope.interleaved;
  run_op(parts_.team, parts_.ops.rope, args);
}

void OpRunner::activate(const GraphOp& op) {
  ActivateArgs args;
  args.in = floats(op.in);
  args.up = op.in2.present() ? floats(op.in2) : nullptr;
  args.out = floats(op.out);
  args.in_stride = stride(op.in);
  args.up_stride = op.in2.present() ? stride(op.in2) : 0;
  args.out_stride = stride(op.out);
  args.rows = rows_of(op);
  args.width = parts_.graph.width_of(op.in);
  run_op(parts_.team, parts_.ops.activate[static_cast<std::size_t>(op.activation)], args);
}

void OpRunner::scale(const GraphOp& op, const ComputeEntry& entry) {
  const bool tiled = parts_.graph.buffer(op.in.buffer).tiled;
  const std::int64_t width = tiled ? entry.n_rows : parts_.graph.width_of(op.in);
  const ScaleArgs args{floats(op.in), stride(op.in), rows_of(op), width, op.scale, op.soft_cap};
  run_op(parts_.team, parts_.ops.scale, args);
}

}  // namespace windlass

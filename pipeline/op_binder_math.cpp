// OpBinder's arithmetic ops: each fills its argument struct from the graph op's views and fields.
#include <span>
#include <type_traits>

#include "pipeline/op_binder.h"
#include "src/base/check.h"

namespace windlass {

template <typename Backend>
void OpBinder<Backend>::begin_step(const StepInput& step) {
  rows_ = step.rows();
  logits_rows_ = step.logits_rows();
  const ActivationLayout& few = parts_.decode_layout;
  const bool fits_few = rows_ <= few.token_rows && logits_rows_ <= few.logits_rows;
  layout_ = fits_few ? &few : &parts_.layout;
  WINDLASS_CHECK(rows_ >= 1 && rows_ <= layout_->token_rows, rows_, layout_->token_rows);
  WINDLASS_CHECK(logits_rows_ <= layout_->logits_rows, logits_rows_, layout_->logits_rows);
}

template <typename Backend>
std::byte* OpBinder<Backend>::bytes(BufferId id) const {
  return parts_.activations + layout_->offsets[static_cast<std::size_t>(index_of(id))];
}

template <typename Backend>
float* OpBinder<Backend>::floats(const View& view) const {
  return reinterpret_cast<float*>(bytes(view.buffer)) + view.column;
}

template <typename Backend>
std::int64_t OpBinder<Backend>::stride(const View& view) const {
  return layout_->row_strides[static_cast<std::size_t>(index_of(view.buffer))] /
         static_cast<std::int64_t>(sizeof(float));
}

template <typename Backend>
Q8Layout OpBinder<Backend>::q8_layout(BufferId id) const {
  const BufferSpec& buffer = parts_.graph.buffer(id);
  const std::int64_t rows = buffer.rows == RowSet::kLogits ? logits_rows_ : rows_;
  // Of some, products take a part of the rows, or of each row.
  const bool whole = buffer.vectors == 1 && buffer.rows != RowSet::kRouted;
  if (whole) return windlass::q8_layout(rows, buffer.width);
  return {layout_->row_strides[static_cast<std::size_t>(index_of(id))], sizeof(Q8Block)};
}

template <typename Backend>
Vectors OpBinder<Backend>::vectors(const View& view, std::int64_t first_row) const {
  return {floats(view) + first_row * stride(view), stride(view), view.per_group, view.group_stride,
          view.vector_stride};
}

template <typename Backend>
std::int64_t OpBinder<Backend>::rows_in(BufferId id) const {
  return rows_in(parts_.graph.buffer(id).rows);
}

template <typename Backend>
bool OpBinder<Backend>::has(const GraphOp& op) {
  switch (op.kind) {
    case OpKind::kEmbedRows:
    case OpKind::kEmbedPositions:
    case OpKind::kEmitLogits:
    case OpKind::kRoute:
    case OpKind::kGatherRouted:
    case OpKind::kCombineRouted:
      return false;
    case OpKind::kMatMul:
      return op.stack != StackKind::kByVector;
    default:
      return true;
  }
}

template <typename Backend>
void OpBinder<Backend>::run(const ReadyEntry& ready, const StepInput& step) {
  const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(ready.entry->op)];
  WINDLASS_CHECK(has(op), op.label);
  switch (op.kind) {
    case OpKind::kRmsNorm:
    case OpKind::kLayerNorm:
      return norm(op, ready.weights);
    case OpKind::kQuantizeRows:
      return quantize_rows(op);
    case OpKind::kMatMul:
      if (!parts_.tensors.at(op.weight).transposed) return mat_muls(std::span(&ready, 1));
      return mat_mul_transposed(op, *ready.entry, ready.weights);
    case OpKind::kAddBias:
    case OpKind::kAdd:
      return add(op, ready.weights);
    case OpKind::kRope:
      return rope(op);
    case OpKind::kKvAppend:
      return kv_append(op, step);
    case OpKind::kAttention:
      return attention(op, step);
    case OpKind::kActivate:
      return activate(op);
    case OpKind::kScale:
      return scale(op, *ready.entry);
    case OpKind::kSelectRows:
      return gather(op, layout_->selected_offset);
    default:
      return;
  }
}

template <typename Backend>
const float* OpBinder<Backend>::row_of_floats(const GraphOp& op, const std::byte* weights) {
  const TensorInfo& tensor = parts_.tensors.at(op.weight);
  const bool aligned = reinterpret_cast<std::uintptr_t>(weights) % alignof(float) == 0;
  if (tensor.type == DType::kF32 && aligned) return reinterpret_cast<const float*>(weights);
  auto* widened = table<float>(layout_->vector_offset);
  if constexpr (std::is_same_v<Backend, CpuBackend>) {
    const DequantizeRowsArgs args{&weights, widened, 1, tensor.n_cols()};
    backend_.run(backend_.ops.dequantize_rows[static_cast<std::size_t>(tensor.type)], args);
  } else {  // the pointer would have to be in memory of the device: the planner leaves it to the
            // CPU
    WINDLASS_CHECK(false, op.label, static_cast<int>(tensor.type));
  }
  return widened;
}

template <typename Backend>
void OpBinder<Backend>::norm(const GraphOp& op, const std::byte* weights) {
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
  backend_.run(rms ? backend_.ops.rms_norm : backend_.ops.layer_norm, args);
}

template <typename Backend>
void OpBinder<Backend>::quantize_rows(const GraphOp& op) {
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
  backend_.run(q8 ? backend_.ops.quantize_rows : backend_.ops.round_rows, args);
}

// Of the entry's rows, whatever matrix they are of.
template <typename Backend>
MatMulArgs OpBinder<Backend>::mat_mul_args(const GraphOp& op, const ComputeEntry& entry,
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

template <typename Backend>
auto OpBinder<Backend>::mat_mul_function(const GraphOp& op) const -> MatMulFunction {
  const BufferKind kind = parts_.graph.buffer(op.in.buffer).kind;
  const auto& row = kind == BufferKind::kQ8     ? backend_.ops.matmul_q8
                    : kind == BufferKind::kBf16 ? backend_.ops.matmul_bf16
                                                : backend_.ops.matmul_f32;
  return row[static_cast<std::size_t>(parts_.tensors.at(op.weight).type)];
}

template <typename Backend>
WorkRange OpBinder<Backend>::rows_of_expert(std::int32_t expert) const {
  WINDLASS_CHECK(expert >= 0 && expert < parts_.spec.experts.n_experts, expert);
  const auto* ends = table<std::int32_t>(layout_->routing.ends_offset);
  return {expert == 0 ? 0 : ends[expert - 1], ends[expert]};
}

template <typename Backend>
MatMulArgs OpBinder<Backend>::placed_args(const GraphOp& op, const ComputeEntry& entry,
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

template <typename Backend>
void OpBinder<Backend>::mat_muls(std::span<const ReadyEntry> entries) {
  JobBatch<Backend, MatMulArgs> products(backend_);
  for (const ReadyEntry& ready : entries) {
    const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(ready.entry->op)];
    const MatMulArgs args = placed_args(op, *ready.entry, ready.weights);
    if (args.n_tokens > 0) products.add(mat_mul_function(op), args);
  }
  products.run();
}

template <typename Backend>
MatMulTransposedArgs OpBinder<Backend>::mat_mul_transposed_args(const GraphOp& op,
                                                                const ComputeEntry& entry,
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
template <typename Backend>
void OpBinder<Backend>::mat_mul_transposed(const GraphOp& op, const ComputeEntry& entry,
                                           const std::byte* weights) {
  MatMulTransposedArgs args = mat_mul_transposed_args(op, entry, weights);
  args.x += entry.first_row;
  args.accumulate = op.accumulate || entry.first_row > 0;
  const DType type = parts_.tensors.at(op.weight).type;
  backend_.run(backend_.ops.matmul_transposed[static_cast<std::size_t>(type)], args);
}

template <typename Backend>
void OpBinder<Backend>::add(const GraphOp& op, const std::byte* weights) {
  AddArgs args;
  const bool bias = op.kind == OpKind::kAddBias;
  args.in = bias ? row_of_floats(op, weights) : floats(op.in);
  args.in_stride = bias ? 0 : stride(op.in);
  args.out = floats(op.out);
  args.out_stride = stride(op.out);
  args.rows = rows_of(op);
  args.width = parts_.graph.width_of(op.out);
  backend_.run(backend_.ops.add, args);
}

template <typename Backend>
void OpBinder<Backend>::rope(const GraphOp& op) {
  const RopeTable& angles = op.window_rope ? parts_.window_rope : parts_.rope;
  const std::int64_t offset = op.window_rope ? layout_->window_rope_offset : layout_->rope_offset;
  RopeArgs args;
  args.x = vectors(op.in);
  if (op.out.buffer != op.in.buffer) args.out = vectors(op.out);
  args.cos = table<float>(offset);
  args.sin = args.cos + layout_->token_rows * angles.pairs();
  args.tokens = rows_;
  args.heads = op.in.vectors;
  args.dims = 2 * angles.pairs();
  args.interleaved = parts_.spec.rope.interleaved;
  backend_.run(backend_.ops.rope, args);
}

template <typename Backend>
void OpBinder<Backend>::gather(const GraphOp& op, std::int64_t sources_offset) {
  GatherRowsArgs args;
  args.in = floats(op.in);
  args.sources = table<std::int32_t>(sources_offset);
  args.out = floats(op.out);
  args.in_stride = stride(op.in);
  args.out_stride = stride(op.out);
  args.rows = rows_of(op);
  args.width = parts_.graph.width_of(op.in);
  backend_.run(backend_.ops.gather_rows, args);
}

template <typename Backend>
void OpBinder<Backend>::activate(const GraphOp& op) {
  ActivateArgs args;
  args.in = floats(op.in);
  args.up = op.in2.present() ? floats(op.in2) : nullptr;
  args.out = floats(op.out);
  args.in_stride = stride(op.in);
  args.up_stride = op.in2.present() ? stride(op.in2) : 0;
  args.out_stride = stride(op.out);
  args.rows = rows_of(op);
  args.width = parts_.graph.width_of(op.in);
  backend_.run(backend_.ops.activate[static_cast<std::size_t>(op.activation)], args);
}

template <typename Backend>
void OpBinder<Backend>::scale(const GraphOp& op, const ComputeEntry& entry) {
  const bool tiled = parts_.graph.buffer(op.in.buffer).tiled;
  const std::int64_t width = tiled ? entry.n_rows : parts_.graph.width_of(op.in);
  const ScaleArgs args{floats(op.in), stride(op.in), rows_of(op), width, op.scale, op.soft_cap};
  backend_.run(backend_.ops.scale, args);
}

template class OpBinder<CpuBackend>;
template class OpBinder<GpuBackend>;

}  // namespace windlass

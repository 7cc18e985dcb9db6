#include "pipeline/gpu_rows.h"

#include "pipeline/op_binder.h"

namespace windlass {
namespace {

bool has_product(const DeviceOpTable& ops, const LayerGraph& graph, const TensorTable& tensors,
                 const GraphOp& op) {
  const TensorInfo& tensor = tensors.at(op.weight);
  const auto type = static_cast<std::size_t>(tensor.type);
  if (tensor.transposed) return ops.matmul_transposed[type] != nullptr;
  switch (graph.buffer(op.in.buffer).kind) {
    case BufferKind::kQ8:
      return ops.matmul_q8[type] != nullptr;
    case BufferKind::kBf16:
      return ops.matmul_bf16[type] != nullptr;
    case BufferKind::kF32:
      return ops.matmul_f32[type] != nullptr;
  }
  return false;
}

}  // namespace

bool gpu_has_row(const DeviceOpTable& ops, const LayerGraph& graph, const TensorTable& tensors,
                 const GraphOp& op) {
  if (!OpBinder<GpuBackend>::has(op) || op.rows == RowSet::kRouted) return false;
  const bool plain_vector = op.weight == kNoTensor || tensors.at(op.weight).type == DType::kF32;
  switch (op.kind) {
    case OpKind::kRmsNorm:
      return ops.rms_norm != nullptr && plain_vector;
    case OpKind::kLayerNorm:
      return ops.layer_norm != nullptr && plain_vector;
    case OpKind::kQuantizeRows:
      return graph.buffer(op.out.buffer).kind == BufferKind::kQ8 ? ops.quantize_rows != nullptr
                                                                 : ops.round_rows != nullptr;
    case OpKind::kMatMul:
      return has_product(ops, graph, tensors, op);
    case OpKind::kAddBias:
    case OpKind::kAdd:
      return ops.add != nullptr && plain_vector;
    case OpKind::kRope:
      return ops.rope != nullptr;
    case OpKind::kKvAppend:
    case OpKind::kAttention:
      return ops.kv_append != nullptr && ops.attention != nullptr && ops.merge_partials != nullptr;
    case OpKind::kActivate:
      return ops.activate[static_cast<std::size_t>(op.activation)] != nullptr;
    case OpKind::kScale:
      return ops.scale != nullptr;
    case OpKind::kSelectRows:
      return ops.gather_rows != nullptr;
    default:
      return false;
  }
}

}  // namespace windlass

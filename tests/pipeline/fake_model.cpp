#include "tests/pipeline/fake_model.h"

#include <string>
#include <variant>

namespace windlass::test {
namespace {

constexpr BufferId kHidden{0}, kOut{1}, kLogits{2};

}  // namespace

FakeModel::FakeModel() {
  tensors.files.push_back({"fake.gguf", 0});
  graph.buffers = {{"hidden", BufferKind::kF32, kColumns, RowSet::kTokens, false},
                   {"out", BufferKind::kF32, kColumns, RowSet::kTokens, false},
                   {"logits", BufferKind::kF32, kColumns, RowSet::kLogits, true}};
}

TensorId FakeModel::add_tensor(std::int64_t n_rows) { return add_tensor_of({n_rows, kColumns}); }
TensorId FakeModel::add_stack(std::int64_t n_matrices, std::int64_t n_rows) {
  return add_tensor_of({n_matrices, n_rows, kColumns});
}

TensorId FakeModel::add_tensor_of(std::vector<std::int64_t> shape) {
  TensorInfo info;
  info.name = "tensor." + std::to_string(tensors.tensors.size());
  info.type = DType::kF32;
  info.shape = std::move(shape);
  // A header before the first tensor, and none of them on a page border.
  const std::int64_t offset =
      tensors.tensors.empty() ? 992 : align_up(tensors.tensors.back().extent.end_bytes(), 32);
  info.extent = {FileId{0}, offset, info.n_rows() * kRowBytes};
  tensors.files.front().size_bytes = info.extent.end_bytes();
  tensors.tensors.push_back(info);
  return TensorId{static_cast<std::int32_t>(tensors.tensors.size()) - 1};
}

GraphOp& FakeModel::add_op(OpKind kind, TensorId weight, BufferId in, BufferId out, RowSet rows) {
  GraphOp op;
  op.kind = kind;
  op.weight = weight;
  op.in.buffer = in;
  op.out.buffer = out;
  op.rows = rows;
  op.label = op_kind_name(kind);
  graph.ops.push_back(op);
  return graph.ops.back();
}

void FakeModel::add_embedding(TensorId weight) {
  add_op(OpKind::kEmbedRows, weight, kNoBuffer, kHidden, RowSet::kTokens);
}
void FakeModel::add_norm() {
  add_op(OpKind::kRmsNorm, add_tensor(1), kHidden, kHidden, RowSet::kTokens);
}
void FakeModel::add_product(std::int64_t n_rows) {
  add_op(OpKind::kMatMul, add_tensor(n_rows), kHidden, kOut, RowSet::kTokens);
}
void FakeModel::add_experts(std::int64_t n_experts, std::int64_t n_chosen, std::int64_t n_rows) {
  GraphOp& route = add_op(OpKind::kRoute, add_tensor(1), kHidden, kNoBuffer, RowSet::kTokens);
  route.n_stacked = n_experts;
  route.n_chosen = n_chosen;
  for (int i = 0; i < 2; ++i) {
    const TensorId stack = add_stack(n_experts, n_rows);
    GraphOp& product = add_op(OpKind::kMatMul, stack, kHidden, kOut, RowSet::kRouted);
    product.stack = StackKind::kRouted;
    product.n_stacked = n_experts;
    product.n_chosen = n_chosen;
  }
}
void FakeModel::add_head(TensorId weight) {
  add_op(OpKind::kMatMul, weight, kHidden, kLogits, RowSet::kLogits);
  add_op(OpKind::kEmitLogits, kNoTensor, kLogits, kNoBuffer, RowSet::kLogits);
}

Profile fake_profile(double disk_bytes_per_s, double gemv_bytes_per_s, double latency_s) {
  Profile profile;
  profile.disk_bytes_per_s = disk_bytes_per_s;
  profile.disk_latency_s = latency_s;
  profile.exact[static_cast<std::size_t>(DType::kF32)] = {gemv_bytes_per_s, 0};
  return profile;
}

FakeModel random_model(std::mt19937_64& random) {
  const auto pick = [&](std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random);
  };
  FakeModel model;
  const TensorId embedding = model.add_tensor(pick(20, 900));
  model.add_embedding(embedding);
  for (std::int64_t layer = pick(1, 6); layer > 0; --layer) {
    model.add_norm();
    for (std::int64_t n = pick(1, 6); n > 0; --n) model.add_product(pick(1, 640));
  }
  const bool tied = pick(0, 1) == 1;
  model.add_head(tied ? embedding : model.add_tensor(pick(20, 900)));
  return model;
}

FakeModel random_mixture(std::mt19937_64& random) {
  const auto pick = [&](std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random);
  };
  FakeModel model;
  model.add_embedding(model.add_tensor(pick(20, 900)));
  for (std::int64_t layer = pick(1, 5); layer > 0; --layer) {
    model.add_norm();
    for (std::int64_t n = pick(1, 3); n > 0; --n) model.add_product(pick(1, 640));
    const std::int64_t experts = pick(2, 16);
    model.add_experts(experts, pick(1, experts), pick(1, 600));
  }
  model.add_head(model.add_tensor(pick(20, 900)));
  return model;
}

FakeModel uniform_model(std::int64_t n_products, std::int64_t n_rows) {
  FakeModel model;
  for (std::int64_t i = 0; i < n_products; ++i) model.add_product(n_rows);
  return model;
}

std::int64_t all_in_memory_bytes(const FakeModel& model, const BlockTable& blocks,
                                 HostNeeds needs) {
  needs.limit_bytes = 0;
  return std::get<Infeasible>(place(model.graph, blocks, needs, 0)).least_bytes;
}

}  // namespace windlass::test

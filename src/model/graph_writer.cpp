#include "src/model/graph_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "src/ops/weight_types.h"

namespace windlass {

View GraphWriter::buffer(std::string name, std::int64_t width) {
  graph_.buffers.push_back({std::move(name), BufferKind::kF32, width, rows_, false, 1});
  return {.buffer = BufferId{static_cast<std::int32_t>(graph_.buffers.size() - 1)}};
}

View GraphWriter::tiled_buffer(std::string name, std::int64_t width) {
  const View view = buffer(std::move(name), width);
  graph_.buffers.back().tiled = true;
  return view;
}

std::string GraphWriter::label(const std::string& part) const {
  return layer_ < 0 ? part : fmt::format("blk.{}.{}", layer_, part);
}

GraphOp& GraphWriter::op(OpKind kind, const std::string& part, const View& in, const View& out) {
  GraphOp op;
  op.kind = kind;
  op.layer = layer_;
  op.in = in;
  op.out = out;
  op.rows = rows_;
  op.label = label(part);
  graph_.ops.push_back(std::move(op));
  return graph_.ops.back();
}

void GraphWriter::embed_rows(const std::string& part, TensorId weight, const View& out) {
  op(OpKind::kEmbedRows, part, {}, out).weight = weight;
}

void GraphWriter::add_bias(const std::string& part, TensorId bias, const View& out) {
  if (bias != kNoTensor) op(OpKind::kAddBias, part + ".bias", {}, out).weight = bias;
}

void GraphWriter::norm(const std::string& part, const Affine& norm, const View& in,
                       const View& out) {
  const bool rms = spec_.arch->norm == NormKind::kRms;
  op(rms ? OpKind::kRmsNorm : OpKind::kLayerNorm, part, in, out).weight = norm.weight;
  add_bias(part, norm.bias, out);
}

BufferKind GraphWriter::form_for(TensorId weight) const {
  if (weight == kNoTensor || activations_ == Activations::kExact) return BufferKind::kF32;
  const DType type = table_.at(weight).type;
  if (takes_int8(type)) return BufferKind::kQ8;
  const bool pairs = activations_ == Activations::kInt8Bf16 && type == DType::kBF16;
  return pairs ? BufferKind::kBf16 : BufferKind::kF32;
}

// Buffers of rounded rows live from one quantise op to the matmuls right after it, so equal shapes
// share one.
BufferId GraphWriter::rounded_buffer(BufferKind kind, std::int64_t width, std::int64_t vectors) {
  for (std::size_t i = 0; i < graph_.buffers.size(); ++i) {
    const BufferSpec& buffer = graph_.buffers[i];
    if (buffer.kind == kind && buffer.width == width && buffer.vectors == vectors &&
        buffer.rows == rows_) {
      return BufferId{static_cast<std::int32_t>(i)};
    }
  }
  const char* prefix = rows_ == RowSet::kLogits   ? "head_"
                       : rows_ == RowSet::kRouted ? "routed_"
                                                  : "";
  const char* form = kind == BufferKind::kQ8 ? "q8" : "bf16";
  const View view = buffer(fmt::format("{}{}_{}", prefix, form, width), width);
  graph_.buffers.back().kind = kind;
  graph_.buffers.back().vectors = vectors;
  return view.buffer;
}

// The buffer of that form of `in`, written by an op; none where no reader wants it.
BufferId GraphWriter::rounded(BufferKind kind, const std::string& part, const View& in,
                              std::initializer_list<Affine> readers) {
  const bool wanted = std::any_of(readers.begin(), readers.end(), [&](const Affine& reader) {
    return form_for(reader.weight) == kind;
  });
  if (!wanted) return kNoBuffer;
  const BufferId buffer = rounded_buffer(kind, graph_.width_of(in), in.vectors);
  const char* suffix = kind == BufferKind::kQ8 ? "_q8" : "_bf16";
  op(OpKind::kQuantizeRows, part + suffix, in, {.buffer = buffer});
  return buffer;
}

MatMulInput GraphWriter::matmul_input(const std::string& part, const View& in,
                                      std::initializer_list<Affine> readers) {
  MatMulInput input{in};
  input.q8 = rounded(BufferKind::kQ8, part, in, readers);
  input.bf16 = rounded(BufferKind::kBf16, part, in, readers);
  return input;
}

GraphOp& GraphWriter::product(const std::string& part, TensorId weight, const MatMulInput& in,
                              const View& out) {
  const BufferKind form = form_for(weight);
  const View source = form == BufferKind::kQ8     ? View{.buffer = in.q8}
                      : form == BufferKind::kBf16 ? View{.buffer = in.bf16}
                                                  : in.f32;
  GraphOp& product = op(OpKind::kMatMul, part, source, out);
  product.weight = weight;
  return product;
}

void GraphWriter::linear(const std::string& part, const Affine& linear, const MatMulInput& in,
                         const View& out, bool accumulate) {
  product(part, linear.weight, in, out).accumulate = accumulate;
  add_bias(part, linear.bias, out);
}

void GraphWriter::linears(std::initializer_list<Linear> linears, const MatMulInput& in) {
  for (const Linear& one : linears) product(one.part, one.linear.weight, in, one.out);
  for (const Linear& one : linears) add_bias(one.part, one.linear.bias, one.out);
}

void GraphWriter::routed_linear(const std::string& part, const ExpertMatrices& matrices,
                                const MatMulInput& in, const View& out) {
  GraphOp& routed = product(part, matrices.weight, in, out);
  routed.stack = StackKind::kRouted;
  routed.n_stacked = spec_.experts.n_experts;
  routed.n_chosen = spec_.experts.n_used;
  routed.stacked = matrices.each;
}

void GraphWriter::linear_by_vector(const std::string& part, const VectorMatrices& matrices,
                                   const View& in, const View& out) {
  const MatMulInput input = matrices.transposed
                                ? MatMulInput{in, kNoBuffer}
                                : matmul_input(part + "_in", in, {{.weight = matrices.weight}});
  GraphOp& stacked = product(part, matrices.weight, input, out);
  stacked.stack = StackKind::kByVector;
  stacked.n_stacked = in.vectors;
  stacked.matrix_rows = matrices.rows;
  stacked.transposed = matrices.transposed;
}

// Rows of a tiled output are handed on tile by tile; those of a transposed weight are inputs, which
// add up.
bool GraphWriter::rows_independent(const GraphOp& op) const {
  return op.kind == OpKind::kMatMul && op.stack != StackKind::kByVector &&
         !graph_.buffer(op.out.buffer).tiled && !table_.at(op.weight).transposed;
}

LayerGraph GraphWriter::take() {
  const auto overlap = [&](const View& a, const View& b) {
    return a.buffer == b.buffer && a.column < b.column + graph_.width_of(b) &&
           b.column < a.column + graph_.width_of(a);
  };
  const auto depends = [&](const GraphOp& a, const GraphOp& b) {
    return overlap(a.out, b.out) || a.out.buffer == b.in.buffer || b.out.buffer == a.in.buffer;
  };
  std::int32_t number = -1;
  auto first = graph_.ops.begin();  // of the products with this number
  for (auto op = graph_.ops.begin(); op != graph_.ops.end(); ++op) {
    if (!rows_independent(*op)) continue;
    const bool follows = op != graph_.ops.begin() && std::prev(op)->independent >= 0;
    if (!follows || std::any_of(first, op, [&](const GraphOp& a) { return depends(a, *op); })) {
      ++number;
      first = op;
    }
    op->independent = number;
  }
  return std::move(graph_);
}

}  // namespace windlass

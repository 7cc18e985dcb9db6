#include "src/model/layer_graph.h"

#include <utility>

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/ops/weight_types.h"

namespace windlass {
namespace {

// Builds the llama graph: pre-norm attention with RoPE and grouped KV heads, pre-norm SwiGLU,
// normed head.
class LlamaGraphBuilder {
 public:
  LlamaGraphBuilder(const ModelSpec& spec, const TensorTable& table, Activations activations)
      : spec_(spec), table_(table), activations_(activations) {}

  LayerGraph build();

 private:
  // An f32 buffer and the name that the traces give to its 8-bit form.
  struct Source {
    BufferId f32 = kNoBuffer;
    std::string label;
  };

  TensorId require(const std::string& name) const;
  bool reads_q8(TensorId weight) const;
  BufferId add_buffer(std::string name, std::int64_t width, RowSet rows = RowSet::kTokens,
                      BufferKind kind = BufferKind::kF32);
  BufferId q8_buffer(std::int64_t width, RowSet rows);
  GraphOp& add_op(OpKind kind, std::string label, BufferId in, BufferId out);

  // Names and ops of layer `layer_`.
  std::string label(const char* part) const;
  TensorId layer_weight(const char* part) const;

  void add_buffers();
  void add_norm(const std::string& label, TensorId weight, BufferId in, BufferId out, RowSet rows);
  // The 8-bit form of `in`, made by a new op when one of `weights` reads it; else kNoBuffer.
  BufferId add_quantize(const std::string& label, BufferId in, RowSet rows,
                        std::initializer_list<TensorId> weights);
  void add_matmul(const std::string& label, TensorId weight, BufferId f32, BufferId q8,
                  BufferId out, bool accumulate, RowSet rows = RowSet::kTokens);
  void add_attention();
  void add_ffn();
  void add_head();

  const ModelSpec& spec_;
  const TensorTable& table_;
  const Activations activations_;
  LayerGraph graph_;
  std::int32_t layer_ = -1;
  BufferId residual_, normed_, q_, k_, v_, attn_out_, gate_, up_;
};

TensorId LlamaGraphBuilder::require(const std::string& name) const {
  const TensorId id = table_.find(name);
  if (id == kNoTensor) {
    fail(ErrorCode::kBadFile, "{}: tensor '{}' is missing",
         table_.files.empty() ? "model" : table_.files.front().path, name);
  }
  return id;
}

bool LlamaGraphBuilder::reads_q8(TensorId weight) const {
  return activations_ == Activations::kInt8 && takes_int8(table_.at(weight).type);
}

BufferId LlamaGraphBuilder::add_buffer(std::string name, std::int64_t width, RowSet rows,
                                       BufferKind kind) {
  graph_.buffers.push_back({std::move(name), kind, width, rows, false});
  return BufferId{static_cast<std::int32_t>(graph_.buffers.size() - 1)};
}

// Buffers of 8-bit rows live from one quantise op to the matmuls right after it, so equal widths
// share one.
BufferId LlamaGraphBuilder::q8_buffer(std::int64_t width, RowSet rows) {
  for (std::size_t i = 0; i < graph_.buffers.size(); ++i) {
    const BufferSpec& buffer = graph_.buffers[i];
    if (buffer.kind == BufferKind::kQ8 && buffer.width == width && buffer.rows == rows) {
      return BufferId{static_cast<std::int32_t>(i)};
    }
  }
  const char* prefix = rows == RowSet::kLogits ? "head_q8" : "q8";
  return add_buffer(fmt::format("{}_{}", prefix, width), width, rows, BufferKind::kQ8);
}

GraphOp& LlamaGraphBuilder::add_op(OpKind kind, std::string label, BufferId in, BufferId out) {
  GraphOp op;
  op.kind = kind;
  op.layer = layer_;
  op.in = in;
  op.out = out;
  op.label = std::move(label);
  graph_.ops.push_back(std::move(op));
  return graph_.ops.back();
}

std::string LlamaGraphBuilder::label(const char* part) const {
  return fmt::format("blk.{}.{}", layer_, part);
}

TensorId LlamaGraphBuilder::layer_weight(const char* part) const {
  return require(fmt::format("blk.{}.{}.weight", layer_, part));
}

void LlamaGraphBuilder::add_buffers() {
  residual_ = add_buffer("residual", spec_.d_model);
  normed_ = add_buffer("normed", spec_.d_model);
  q_ = add_buffer("q", spec_.q_dim());
  k_ = add_buffer("k", spec_.kv_dim());
  v_ = add_buffer("v", spec_.kv_dim());
  attn_out_ = add_buffer("attn_out", spec_.q_dim());
  gate_ = add_buffer("gate", spec_.d_ffn);
  up_ = add_buffer("up", spec_.d_ffn);
}

void LlamaGraphBuilder::add_norm(const std::string& name, TensorId weight, BufferId in,
                                 BufferId out, RowSet rows) {
  GraphOp& op = add_op(OpKind::kRmsNorm, name, in, out);
  op.weight = weight;
  op.rows = rows;
}

BufferId LlamaGraphBuilder::add_quantize(const std::string& name, BufferId in, RowSet rows,
                                         std::initializer_list<TensorId> weights) {
  bool wanted = false;
  for (const TensorId weight : weights) wanted |= reads_q8(weight);
  if (!wanted) return kNoBuffer;
  const std::int64_t width = graph_.buffers[static_cast<std::size_t>(index_of(in))].width;
  const BufferId out = q8_buffer(width, rows);
  add_op(OpKind::kQuantizeRows, name, in, out).rows = rows;
  return out;
}

void LlamaGraphBuilder::add_matmul(const std::string& name, TensorId weight, BufferId f32,
                                   BufferId q8, BufferId out, bool accumulate, RowSet rows) {
  GraphOp& op = add_op(OpKind::kMatMul, name, reads_q8(weight) ? q8 : f32, out);
  op.weight = weight;
  op.accumulate = accumulate;
  op.rows = rows;
}

void LlamaGraphBuilder::add_attention() {
  const TensorId wq = layer_weight("attn_q"), wk = layer_weight("attn_k");
  const TensorId wv = layer_weight("attn_v"), wo = layer_weight("attn_output");
  add_norm(label("attn_norm"), layer_weight("attn_norm"), residual_, normed_, RowSet::kTokens);
  const BufferId normed_q8 =
      add_quantize(label("attn_norm_q8"), normed_, RowSet::kTokens, {wq, wk, wv});
  add_matmul(label("attn_q"), wq, normed_, normed_q8, q_, false);
  add_matmul(label("attn_k"), wk, normed_, normed_q8, k_, false);
  add_matmul(label("attn_v"), wv, normed_, normed_q8, v_, false);
  add_op(OpKind::kRope, label("rope_q"), q_, q_).heads = static_cast<std::int32_t>(spec_.n_heads);
  add_op(OpKind::kRope, label("rope_k"), k_, k_).heads =
      static_cast<std::int32_t>(spec_.n_kv_heads);
  add_op(OpKind::kKvAppend, label("kv_append"), k_, kNoBuffer).in2 = v_;
  add_op(OpKind::kAttention, label("attention"), q_, attn_out_);
  const BufferId attn_q8 = add_quantize(label("attn_out_q8"), attn_out_, RowSet::kTokens, {wo});
  add_matmul(label("attn_output"), wo, attn_out_, attn_q8, residual_, true);
}

void LlamaGraphBuilder::add_ffn() {
  const TensorId wgate = layer_weight("ffn_gate"), wup = layer_weight("ffn_up");
  const TensorId wdown = layer_weight("ffn_down");
  add_norm(label("ffn_norm"), layer_weight("ffn_norm"), residual_, normed_, RowSet::kTokens);
  const BufferId normed_q8 =
      add_quantize(label("ffn_norm_q8"), normed_, RowSet::kTokens, {wgate, wup});
  add_matmul(label("ffn_gate"), wgate, normed_, normed_q8, gate_, false);
  add_matmul(label("ffn_up"), wup, normed_, normed_q8, up_, false);
  add_op(OpKind::kSwiGlu, label("swiglu"), gate_, gate_).in2 = up_;
  const BufferId gate_q8 = add_quantize(label("swiglu_q8"), gate_, RowSet::kTokens, {wdown});
  add_matmul(label("ffn_down"), wdown, gate_, gate_q8, residual_, true);
}

void LlamaGraphBuilder::add_head() {
  const BufferId head_in = add_buffer("head_in", spec_.d_model, RowSet::kLogits);
  add_op(OpKind::kSelectRows, "select_rows", residual_, head_in).rows = RowSet::kLogits;
  add_norm("output_norm", require("output_norm.weight"), head_in, head_in, RowSet::kLogits);
  const TensorId separate = table_.find("output.weight");
  const TensorId weight = separate != kNoTensor ? separate : require("token_embd.weight");
  const BufferId head_q8 = add_quantize("output_norm_q8", head_in, RowSet::kLogits, {weight});
  const BufferId logits = add_buffer("logits", spec_.n_vocab, RowSet::kLogits);
  graph_.buffers.back().tiled = true;
  add_matmul("output", weight, head_in, head_q8, logits, false, RowSet::kLogits);
  add_op(OpKind::kEmitLogits, "logits", logits, kNoBuffer).rows = RowSet::kLogits;
}

LayerGraph LlamaGraphBuilder::build() {
  add_buffers();
  add_op(OpKind::kEmbedRows, "token_embd", kNoBuffer, residual_).weight =
      require("token_embd.weight");
  for (layer_ = 0; layer_ < spec_.n_layers; ++layer_) {
    add_attention();
    add_ffn();
  }
  layer_ = -1;
  add_head();
  return std::move(graph_);
}

}  // namespace

const char* op_kind_name(OpKind kind) {
  switch (kind) {
    case OpKind::kEmbedRows:
      return "embed_rows";
    case OpKind::kRmsNorm:
      return "rms_norm";
    case OpKind::kQuantizeRows:
      return "quantize_rows";
    case OpKind::kMatMul:
      return "matmul";
    case OpKind::kRope:
      return "rope";
    case OpKind::kKvAppend:
      return "kv_append";
    case OpKind::kAttention:
      return "attention";
    case OpKind::kSwiGlu:
      return "swiglu";
    case OpKind::kSelectRows:
      return "select_rows";
    case OpKind::kEmitLogits:
      return "emit_logits";
  }
  return "unknown";
}

LayerGraph build_layer_graph(const ModelSpec& spec, const TensorTable& table,
                             Activations activations) {
  WINDLASS_CHECK(spec.architecture == "llama", spec.architecture);
  return LlamaGraphBuilder(spec, table, activations).build();
}

}  // namespace windlass

#include "src/model/layer_graph.h"

#include <algorithm>
#include <optional>

#include "src/base/check.h"
#include "src/model/expert_part.h"
#include "src/model/graph_writer.h"
#include "src/model/latent_part.h"
#include "src/model/weight_map.h"

namespace windlass {
namespace {

// Builds the graph of a decoder from its architecture's description:
//   residual = embedding; each layer: residual += attention(norm(residual)), residual +=
//   ffn(norm(residual)); logits = output(norm(residual)).
class DecoderBuilder {
 public:
  DecoderBuilder(const ModelSpec& spec, const TensorTable& table, Activations activations)
      : spec_(spec),
        arch_(*spec.arch),
        weights_(map_weights(spec, table)),
        qkv_by_group_(table.conventions.qkv_by_group && arch_.qkv == QkvTensors::kFused),
        writer_(spec, table, activations) {}

  LayerGraph build();

 private:
  // Queries, keys and values of all heads inside a row of qkv_.
  struct HeadViews {
    View q, k, v;
  };
  // What act(gate x) * up x, or what the family has instead, consists of.
  struct FeedForward {
    const Affine &gate, &up, &down;
    std::int64_t width;
    std::string suffix;  // of its parts' labels
  };
  HeadViews heads_side_by_side() const;
  HeadViews heads_by_group() const;
  View columns(const View& view, std::int64_t first, std::int64_t width) const;

  void add_buffers();
  void add_embedding();
  void add_layer(std::int64_t index);
  void add_qkv(const LayerWeights& layer, const View& in);
  void add_attention(const LayerWeights& layer, std::int64_t index);
  void add_feed_forward(const LayerWeights& layer, std::int64_t index, const View& in);
  void add_experts(const LayerWeights& layer, const View& in);
  View add_ffn_inner(const FeedForward& network, const View& in);
  // residual += linear(in), normed first where the architecture norms what a part adds.
  void add_to_residual(const std::string& part, const Affine& linear, const MatMulInput& in,
                       const std::string& norm_part, const Affine& post_norm);
  void add_head();

  const ModelSpec& spec_;
  const Architecture& arch_;
  const WeightMap weights_;
  const bool qkv_by_group_;
  GraphWriter writer_;
  std::optional<ExpertPart> experts_;
  std::optional<LatentPart> latent_;
  HeadViews heads_;
  View residual_, normed_, normed_2_, branch_, qkv_, attn_out_, gate_, up_;
};

View DecoderBuilder::columns(const View& view, std::int64_t first, std::int64_t width) const {
  return {.buffer = view.buffer, .column = first, .width = width};
}

// All queries, then all keys, then all values.
DecoderBuilder::HeadViews DecoderBuilder::heads_side_by_side() const {
  const std::int64_t group = spec_.n_heads / spec_.n_kv_heads;
  const auto heads = [&](std::int64_t column, std::int64_t n, std::int64_t per_group,
                         std::int64_t dim) {
    return View{qkv_.buffer, column, dim, n, per_group, per_group * dim, dim};
  };
  return {heads(0, spec_.n_heads, group, spec_.head_dim),
          heads(spec_.q_dim(), spec_.n_kv_heads, 1, spec_.head_dim),
          heads(spec_.q_dim() + spec_.k_dim(), spec_.n_kv_heads, 1, spec_.value_dim)};
}

// For each KV head its queries, its key and its value.
DecoderBuilder::HeadViews DecoderBuilder::heads_by_group() const {
  const std::int64_t group = spec_.n_heads / spec_.n_kv_heads, dim = spec_.head_dim;
  const std::int64_t stride = (group + 1) * dim + spec_.value_dim;
  return {{qkv_.buffer, 0, dim, spec_.n_heads, group, stride, dim},
          {qkv_.buffer, group * dim, dim, spec_.n_kv_heads, 1, stride, dim},
          {qkv_.buffer, (group + 1) * dim, spec_.value_dim, spec_.n_kv_heads, 1, stride, dim}};
}

void DecoderBuilder::add_buffers() {
  residual_ = writer_.buffer("residual", spec_.d_model);
  normed_ = writer_.buffer("normed", spec_.d_model);
  if (weights_.layers.front().attn_norm_2.present()) {
    normed_2_ = writer_.buffer("normed_2", spec_.d_model);
  }
  if (arch_.post_norms) branch_ = writer_.buffer("branch", spec_.d_model);
  if (!spec_.latent) {
    qkv_ = writer_.buffer("qkv", spec_.q_dim() + spec_.k_dim() + spec_.v_dim());
    heads_ = qkv_by_group_ ? heads_by_group() : heads_side_by_side();
  }
  latent_.emplace(spec_, writer_);
  attn_out_ = writer_.buffer("attn_out", spec_.attention_out_dim());
  const std::int64_t ffn = spec_.has_experts(0) ? spec_.experts.d_shared : spec_.d_ffn;
  const std::int64_t width = std::max(ffn, spec_.experts.d_shared);
  if (width > 0 && arch_.ffn != FfnKind::kPlain) gate_ = writer_.buffer("gate", width);
  if (width > 0) up_ = writer_.buffer("up", arch_.ffn == FfnKind::kGatedFused ? 2 * width : width);
  experts_.emplace(spec_, writer_);
}

void DecoderBuilder::add_embedding() {
  writer_.embed_rows("token_embd", weights_.embedding, residual_);
  if (spec_.embedding_scale != 1) {
    writer_.op(OpKind::kScale, "embd_scale", residual_, residual_).scale = spec_.embedding_scale;
  }
  if (arch_.positions != PositionKind::kLearned) return;
  GraphOp& positions = writer_.op(OpKind::kEmbedPositions, "position_embd", {}, normed_);
  positions.weight = weights_.positions;
  positions.first_row = arch_.first_position_row;
  writer_.op(OpKind::kAdd, "position_add", normed_, residual_);
}

void DecoderBuilder::add_qkv(const LayerWeights& layer, const View& in) {
  const MatMulInput input =
      writer_.matmul_input("attn_norm", in, {layer.qkv, layer.q, layer.k, layer.v});
  if (arch_.qkv == QkvTensors::kFused) {
    writer_.linear("attn_qkv", layer.qkv, input, qkv_);
    return;
  }
  const std::int64_t q = spec_.q_dim(), k = spec_.k_dim(), v = spec_.v_dim();
  writer_.linears({{"attn_q", layer.q, columns(qkv_, 0, q)},
                   {"attn_k", layer.k, columns(qkv_, q, k)},
                   {"attn_v", layer.v, columns(qkv_, q + k, v)}},
                  input);
}

void DecoderBuilder::add_attention(const LayerWeights& layer, std::int64_t index) {
  if (arch_.qk_norm) {
    writer_.norm("attn_q_norm", layer.q_norm, heads_.q, heads_.q);
    writer_.norm("attn_k_norm", layer.k_norm, heads_.k, heads_.k);
  }
  const bool windowed = spec_.windowed(index);
  if (spec_.rope.dims > 0) {
    const bool window_rope = windowed && spec_.window_rope.has_value();
    writer_.op(OpKind::kRope, "rope_q", heads_.q, heads_.q).window_rope = window_rope;
    writer_.op(OpKind::kRope, "rope_k", heads_.k, heads_.k).window_rope = window_rope;
  }
  writer_.op(OpKind::kKvAppend, "kv_append", heads_.k, {}).in2 = heads_.v;
  GraphOp& attention = writer_.op(OpKind::kAttention, "attention", heads_.q, attn_out_);
  attention.window_tokens = windowed ? spec_.window_tokens : 0;
  attention.scale = spec_.attention_scale;
  attention.soft_cap = spec_.attention_soft_cap;
}

// What the last matmul of the network reads.
View DecoderBuilder::add_ffn_inner(const FeedForward& network, const View& in) {
  const std::string& suffix = network.suffix;
  const MatMulInput input =
      writer_.matmul_input("ffn_norm" + suffix, in, {network.gate, network.up});
  const std::int64_t ffn = network.width;
  const bool fused = arch_.ffn == FfnKind::kGatedFused, gated = arch_.ffn != FfnKind::kPlain;
  const View up = columns(up_, 0, fused ? 2 * ffn : ffn);
  const View from = fused ? columns(up_, 0, ffn) : gated ? columns(gate_, 0, ffn) : up;
  const View to = gated ? columns(gate_, 0, ffn) : up;
  if (arch_.ffn == FfnKind::kGated) {
    writer_.linears(
        {{"ffn_gate" + suffix, network.gate, from}, {"ffn_up" + suffix, network.up, up}}, input);
  } else {
    writer_.linear("ffn_up" + suffix, network.up, input, up);
  }
  GraphOp& activate = writer_.op(OpKind::kActivate, "ffn_act" + suffix, from, to);
  activate.activation = arch_.activation;
  if (gated) activate.in2 = fused ? columns(up_, ffn, ffn) : up;
  return to;
}

void DecoderBuilder::add_to_residual(const std::string& part, const Affine& linear,
                                     const MatMulInput& in, const std::string& norm_part,
                                     const Affine& post_norm) {
  if (!post_norm.present()) return writer_.linear(part, linear, in, residual_, true);
  writer_.linear(part, linear, in, branch_);
  writer_.norm(norm_part, post_norm, branch_, branch_);
  writer_.op(OpKind::kAdd, part + "_add", branch_, residual_);
}

void DecoderBuilder::add_feed_forward(const LayerWeights& layer, std::int64_t index,
                                      const View& in) {
  if (spec_.has_experts(index)) return add_experts(layer, in);
  const FeedForward network{layer.ffn_gate, layer.ffn_up, layer.ffn_down, spec_.d_ffn, ""};
  const View inner = add_ffn_inner(network, in);
  add_to_residual("ffn_down", layer.ffn_down,
                  writer_.matmul_input("ffn_act", inner, {layer.ffn_down}), "post_ffw_norm",
                  layer.post_ffn_norm);
}

// The shared network comes between the choice of experts and their work: a time in which their
// weights can arrive.
void DecoderBuilder::add_experts(const LayerWeights& layer, const View& in) {
  experts_->write_routing(layer, in);
  if (layer.shared_up.present()) {
    const FeedForward shared{layer.shared_gate, layer.shared_up, layer.shared_down,
                             spec_.experts.d_shared, "_shexp"};
    const View inner = add_ffn_inner(shared, in);
    writer_.linear("ffn_down_shexp", layer.shared_down,
                   writer_.matmul_input("ffn_act_shexp", inner, {layer.shared_down}), residual_,
                   true);
  }
  experts_->write_experts(layer, in, residual_);
}

void DecoderBuilder::add_layer(std::int64_t index) {
  const LayerWeights& layer = weights_.layers[static_cast<std::size_t>(index)];
  writer_.norm("attn_norm", layer.attn_norm, residual_, normed_);
  const bool second = layer.attn_norm_2.present();
  if (second) writer_.norm("attn_norm_2", layer.attn_norm_2, residual_, normed_2_);
  const View& attention_in = second ? normed_2_ : normed_;
  if (spec_.latent) {
    latent_->write(layer, attention_in, attn_out_);
  } else {
    add_qkv(layer, attention_in);
    add_attention(layer, index);
  }
  add_to_residual("attn_output", layer.attn_output,
                  writer_.matmul_input("attn_out", attn_out_, {layer.attn_output}),
                  "post_attention_norm", layer.post_attn_norm);
  // In a parallel layer normed_ still holds the residual as it was before attention.
  if (arch_.form == LayerForm::kSequential) {
    writer_.norm("ffn_norm", layer.ffn_norm, residual_, normed_);
  }
  add_feed_forward(layer, index, normed_);
}

void DecoderBuilder::add_head() {
  writer_.begin_rows(RowSet::kLogits);
  const View head_in = writer_.buffer("head_in", spec_.d_model);
  writer_.op(OpKind::kSelectRows, "select_rows", residual_, head_in);
  writer_.norm("output_norm", weights_.output_norm, head_in, head_in);
  const MatMulInput input = writer_.matmul_input("output_norm", head_in, {weights_.output});
  const View logits = writer_.tiled_buffer("logits", spec_.n_vocab);
  writer_.linear("output", weights_.output, input, logits);
  if (spec_.logit_soft_cap > 0) {
    writer_.op(OpKind::kScale, "logit_cap", logits, logits).soft_cap = spec_.logit_soft_cap;
  }
  writer_.op(OpKind::kEmitLogits, "logits", logits, {});
}

LayerGraph DecoderBuilder::build() {
  add_buffers();
  add_embedding();
  for (std::int64_t index = 0; index < spec_.n_layers; ++index) {
    writer_.begin_layer(static_cast<std::int32_t>(index));
    add_layer(index);
  }
  writer_.begin_layer(-1);
  add_head();
  return writer_.take();
}

}  // namespace

const char* op_kind_name(OpKind kind) {
  switch (kind) {
    case OpKind::kEmbedRows:
      return "embed_rows";
    case OpKind::kEmbedPositions:
      return "embed_positions";
    case OpKind::kRmsNorm:
      return "rms_norm";
    case OpKind::kLayerNorm:
      return "layer_norm";
    case OpKind::kQuantizeRows:
      return "quantize_rows";
    case OpKind::kMatMul:
      return "matmul";
    case OpKind::kAddBias:
      return "add_bias";
    case OpKind::kAdd:
      return "add";
    case OpKind::kRope:
      return "rope";
    case OpKind::kKvAppend:
      return "kv_append";
    case OpKind::kAttention:
      return "attention";
    case OpKind::kActivate:
      return "activate";
    case OpKind::kScale:
      return "scale";
    case OpKind::kSelectRows:
      return "select_rows";
    case OpKind::kEmitLogits:
      return "emit_logits";
    case OpKind::kRoute:
      return "route";
    case OpKind::kGatherRouted:
      return "gather_routed";
    case OpKind::kCombineRouted:
      return "combine_routed";
  }
  return "unknown";
}

TensorRows stacked_rows(const GraphOp& op, const TensorTable& table, std::int64_t index) {
  WINDLASS_CHECK(op.stack == StackKind::kRouted, op.label);
  WINDLASS_CHECK(index >= 0 && index < op.n_stacked, index, op.n_stacked);
  if (!op.stacked.empty()) {
    const TensorId tensor = op.stacked[static_cast<std::size_t>(index)];
    return {tensor, 0, table.at(tensor).n_rows()};
  }
  const std::int64_t n_rows = table.at(op.weight).n_rows() / op.n_stacked;
  return {op.weight, index * n_rows, n_rows};
}

LayerGraph build_layer_graph(const ModelSpec& spec, const TensorTable& table,
                             Activations activations) {
  WINDLASS_CHECK(spec.arch != nullptr, spec.architecture);
  return DecoderBuilder(spec, table, activations).build();
}

}  // namespace windlass

#include "src/model/expert_part.h"

namespace windlass {

ExpertPart::ExpertPart(const ModelSpec& spec, GraphWriter& writer) : spec_(spec), writer_(writer) {
  if (spec.experts.n_experts == 0) return;
  scores_ = writer_.buffer("expert_scores", spec.experts.n_experts);
  writer_.begin_rows(RowSet::kRouted);
  rows_ = writer_.buffer("routed", spec.d_model);
  gate_ = writer_.buffer("routed_gate", spec.experts.d_ffn);
  up_ = writer_.buffer("routed_up", spec.experts.d_ffn);
  writer_.begin_rows(RowSet::kTokens);
}

void ExpertPart::write_routing(const LayerWeights& layer, const View& in) {
  writer_.linear("ffn_gate_inp", layer.router,
                 writer_.matmul_input("ffn_gate_inp", in, {layer.router}), scores_);
  GraphOp& route = writer_.op(OpKind::kRoute, "route", scores_, {});
  route.weight = layer.router_bias.weight;
  route.n_stacked = spec_.experts.n_experts;
  route.n_chosen = spec_.experts.n_used;
}

void ExpertPart::write_experts(const LayerWeights& layer, const View& in, const View& out) {
  const auto affine = [](const ExpertMatrices& matrices) {
    return Affine{matrices.weight, kNoTensor};
  };
  writer_.begin_rows(RowSet::kRouted);
  writer_.op(OpKind::kGatherRouted, "gather", in, rows_);
  const MatMulInput input =
      writer_.matmul_input("gather", rows_, {affine(layer.expert_gate), affine(layer.expert_up)});
  writer_.routed_linear("ffn_gate_exps", layer.expert_gate, input, gate_);
  writer_.routed_linear("ffn_up_exps", layer.expert_up, input, up_);
  GraphOp& activate = writer_.op(OpKind::kActivate, "ffn_act_exps", gate_, gate_);
  activate.activation = spec_.arch->activation;
  activate.in2 = up_;
  // Nothing reads what was gathered any more: its buffer takes the results.
  writer_.routed_linear("ffn_down_exps", layer.expert_down,
                        writer_.matmul_input("ffn_act_exps", gate_, {affine(layer.expert_down)}),
                        rows_);
  writer_.begin_rows(RowSet::kTokens);
  writer_.op(OpKind::kCombineRouted, "combine", rows_, out);
}

}  // namespace windlass

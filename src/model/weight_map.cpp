#include "src/model/weight_map.h"

#include <fmt/ranges.h>

#include <string>
#include <utility>

#include "src/base/error.h"
#include "src/ops/weight_types.h"

namespace windlass {
namespace {

using Shape = std::vector<std::int64_t>;

bool is_plain_float(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

std::string weight_type_names() {
  std::vector<std::string_view> names;
  for (const WeightType& row : kWeightTypes) names.push_back(dtype_info(row.type).name);
  return fmt::format("{}", fmt::join(names, ", "));
}

class WeightMapper {
 public:
  WeightMapper(const ModelSpec& spec, const TensorTable& table)
      : spec_(spec), arch_(*spec.arch), table_(table), claimed_(table.tensors.size(), false) {}

  WeightMap map();

 private:
  // Remembers that the model has a place for the tensor; kNoTensor where it may be absent and is.
  TensorId claim(const std::string& name, const Shape& shape, Presence presence);
  TensorId vector(const std::string& name, std::int64_t width, Presence presence);
  TensorId matrix(const std::string& name, std::int64_t n_out, std::int64_t n_in,
                  Presence presence);
  Affine norm(const std::string& name, std::int64_t width, Presence presence = Presence::kYes);
  Affine linear(const std::string& name, std::int64_t n_out, std::int64_t n_in, Presence bias);
  TensorId stack(const std::string& name, const Shape& shape, Presence presence);
  ExpertMatrices experts(const std::string& name, std::int64_t n_out, std::int64_t n_in);

  LayerWeights layer(std::int64_t index);
  void attention(const std::string& prefix, LayerWeights& layer);
  void heads(const std::string& prefix, LayerWeights& layer);
  void latent_attention(const std::string& prefix, LayerWeights& layer);
  void feed_forward(const std::string& prefix, LayerWeights& layer);
  void expert_networks(const std::string& prefix, LayerWeights& layer);
  void rope_factors(const RopeFactors& factors);
  void refuse_unclaimed() const;

  const ModelSpec& spec_;
  const Architecture& arch_;
  const TensorTable& table_;
  std::vector<bool> claimed_;
};

TensorId WeightMapper::claim(const std::string& name, const Shape& shape, Presence presence) {
  const TensorId id = table_.find(name);
  if (id == kNoTensor && presence == Presence::kYes) {
    fail(ErrorCode::kBadFile, "{}: tensor '{}' is missing", table_.path(), table_.shown_name(name));
  }
  if (id == kNoTensor) return id;
  if (table_.at(id).shape != shape) {
    fail(ErrorCode::kBadFile, "{}: tensor '{}' has the shape [{}], but by {} it is [{}]",
         table_.path(), table_.shown_name(name), fmt::join(table_.at(id).shape, ", "),
         table_.settings_name(), fmt::join(shape, ", "));
  }
  claimed_[static_cast<std::size_t>(index_of(id))] = true;
  return id;
}

TensorId WeightMapper::vector(const std::string& name, std::int64_t width, Presence presence) {
  const TensorId id = claim(name, {width}, presence);
  if (id == kNoTensor || is_plain_float(table_.at(id).type)) return id;
  fail(ErrorCode::kUnsupported, "{}: tensor '{}' has the type {}; supported for it: F32, F16, BF16",
       table_.path(), table_.shown_name(name), dtype_info(table_.at(id).type).name);
}

TensorId WeightMapper::matrix(const std::string& name, std::int64_t n_out, std::int64_t n_in,
                              Presence presence) {
  const TensorId found = table_.find(name);
  const bool transposed = found != kNoTensor && table_.at(found).transposed;
  const TensorId id = claim(name, transposed ? Shape{n_in, n_out} : Shape{n_out, n_in}, presence);
  if (id == kNoTensor) return id;
  if (find_weight_type(table_.at(id).type) != nullptr) return id;
  fail(ErrorCode::kUnsupported, "{}: tensor '{}' has the type {}; supported: {}", table_.path(),
       table_.shown_name(name), dtype_info(table_.at(id).type).name, weight_type_names());
}

Affine WeightMapper::norm(const std::string& name, std::int64_t width, Presence presence) {
  Affine norm;
  norm.weight = vector(name + ".weight", width, presence);
  if (norm.present() && arch_.norm_bias != Presence::kNo) {
    norm.bias = vector(name + ".bias", width, arch_.norm_bias);
  }
  return norm;
}

Affine WeightMapper::linear(const std::string& name, std::int64_t n_out, std::int64_t n_in,
                            Presence bias) {
  Affine linear;
  linear.weight = matrix(name + ".weight", n_out, n_in, Presence::kYes);
  if (bias != Presence::kNo) linear.bias = vector(name + ".bias", n_out, bias);
  return linear;
}

TensorId WeightMapper::stack(const std::string& name, const Shape& shape, Presence presence) {
  const TensorId id = claim(name, shape, presence);
  if (id == kNoTensor || find_weight_type(table_.at(id).type) != nullptr) return id;
  fail(ErrorCode::kUnsupported, "{}: tensor '{}' has the type {}; supported: {}", table_.path(),
       table_.shown_name(name), dtype_info(table_.at(id).type).name, weight_type_names());
}

// "blk.0.ffn_up_exps", or "blk.0.ffn_up.7" for each expert: folders, and GGUFs of 2023.
ExpertMatrices WeightMapper::experts(const std::string& name, std::int64_t n_out,
                                     std::int64_t n_in) {
  const std::int64_t n = spec_.experts.n_experts;
  const auto single = [&](std::int64_t e) { return fmt::format("{}.{}.weight", name, e); };
  ExpertMatrices matrices;
  const std::string stacked = name + "_exps.weight";
  if (table_.find(stacked) != kNoTensor || table_.find(single(0)) == kNoTensor) {
    // Where neither is there, a folder misses the first expert's.
    matrices.weight =
        stack(table_.folder.empty() ? stacked : single(0), {n, n_out, n_in}, Presence::kYes);
    return matrices;
  }
  for (std::int64_t e = 0; e < n; ++e) {
    matrices.each.push_back(matrix(single(e), n_out, n_in, Presence::kYes));
  }
  matrices.weight = matrices.each.front();
  const DType type = table_.at(matrices.weight).type;
  for (const TensorId id : matrices.each) {
    if (table_.at(id).type == type) continue;
    fail(ErrorCode::kUnsupported, "{}: tensor '{}' has the type {}, but '{}' has {}", table_.path(),
         table_.shown_name(table_.at(id).name), dtype_info(table_.at(id).type).name,
         table_.shown_name(single(0)), dtype_info(type).name);
  }
  return matrices;
}

void WeightMapper::attention(const std::string& prefix, LayerWeights& layer) {
  const std::int64_t d = spec_.d_model;
  layer.attn_norm = norm(prefix + "attn_norm", d);
  if (arch_.form == LayerForm::kParallel) {
    layer.attn_norm_2 = norm(prefix + "attn_norm_2", d, Presence::kMaybe);
  }
  if (spec_.latent) {
    latent_attention(prefix, layer);
  } else {
    heads(prefix, layer);
  }
  layer.attn_output =
      linear(prefix + "attn_output", d, spec_.attention_out_dim(), arch_.attn_output_bias);
  if (arch_.post_norms) layer.post_attn_norm = norm(prefix + "post_attention_norm", d);
}

void WeightMapper::heads(const std::string& prefix, LayerWeights& layer) {
  const std::int64_t d = spec_.d_model, q = spec_.q_dim(), k = spec_.k_dim(), v = spec_.v_dim();
  if (arch_.qkv == QkvTensors::kFused) {
    layer.qkv = linear(prefix + "attn_qkv", q + k + v, d, arch_.qkv_bias);
  } else {
    layer.q = linear(prefix + "attn_q", q, d, arch_.qkv_bias);
    layer.k = linear(prefix + "attn_k", k, d, arch_.qkv_bias);
    layer.v = linear(prefix + "attn_v", v, d, arch_.qkv_bias);
  }
  if (arch_.qk_norm) {
    layer.q_norm = norm(prefix + "attn_q_norm", spec_.head_dim);
    layer.k_norm = norm(prefix + "attn_k_norm", spec_.head_dim);
  }
}

void WeightMapper::latent_attention(const std::string& prefix, LayerWeights& layer) {
  const LatentSpec& latent = *spec_.latent;
  const std::int64_t d = spec_.d_model, n = spec_.n_heads, rank = latent.kv_rank;
  const std::int64_t q = n * latent.query_dim(), plain = latent.plain_dim;
  LatentWeights& weights = layer.latent;
  if (latent.q_rank > 0) {
    weights.q_a = linear(prefix + "attn_q_a", latent.q_rank, d, Presence::kNo);
    weights.q_a_norm = norm(prefix + "attn_q_a_norm", latent.q_rank);
    weights.q_b = linear(prefix + "attn_q_b", q, latent.q_rank, Presence::kNo);
  } else {
    layer.q = linear(prefix + "attn_q", q, d, Presence::kNo);
  }
  weights.kv_a = linear(prefix + "attn_kv_a_mqa", rank + latent.rotated_dim, d, Presence::kNo);
  weights.kv_a_norm = norm(prefix + "attn_kv_a_norm", rank);
  const bool apart = table_.find(prefix + "attn_k_b.weight") != kNoTensor;
  const std::int64_t both = plain + latent.value_dim;
  weights.kv_b = matrix(prefix + "attn_kv_b.weight", n * both, rank,
                        apart ? Presence::kMaybe : Presence::kYes);
  if (apart) {
    weights.k_b = stack(prefix + "attn_k_b.weight", {n, rank, plain}, Presence::kYes);
    weights.v_b = stack(prefix + "attn_v_b.weight", {n, latent.value_dim, rank}, Presence::kYes);
  }
}

void WeightMapper::expert_networks(const std::string& prefix, LayerWeights& layer) {
  const std::int64_t d = spec_.d_model, ffn = spec_.experts.d_ffn, shared = spec_.experts.d_shared;
  layer.ffn_norm = norm(prefix + "ffn_norm", d);
  layer.router = linear(prefix + "ffn_gate_inp", spec_.experts.n_experts, d, Presence::kNo);
  layer.router_bias.weight =
      vector(prefix + "exp_probs_b.bias", spec_.experts.n_experts, Presence::kMaybe);
  layer.expert_gate = experts(prefix + "ffn_gate", ffn, d);
  layer.expert_up = experts(prefix + "ffn_up", ffn, d);
  layer.expert_down = experts(prefix + "ffn_down", d, ffn);
  if (shared == 0) return;
  layer.shared_gate = linear(prefix + "ffn_gate_shexp", shared, d, Presence::kNo);
  layer.shared_up = linear(prefix + "ffn_up_shexp", shared, d, Presence::kNo);
  layer.shared_down = linear(prefix + "ffn_down_shexp", d, shared, Presence::kNo);
}

void WeightMapper::feed_forward(const std::string& prefix, LayerWeights& layer) {
  const std::int64_t d = spec_.d_model, ffn = spec_.d_ffn;
  if (arch_.form == LayerForm::kSequential) layer.ffn_norm = norm(prefix + "ffn_norm", d);
  if (arch_.ffn == FfnKind::kGated) {
    layer.ffn_gate = linear(prefix + "ffn_gate", ffn, d, arch_.ffn_bias);
  }
  const std::int64_t up_rows = arch_.ffn == FfnKind::kGatedFused ? 2 * ffn : ffn;
  layer.ffn_up = linear(prefix + "ffn_up", up_rows, d, arch_.ffn_bias);
  layer.ffn_down = linear(prefix + "ffn_down", d, ffn, arch_.ffn_bias);
  if (arch_.post_norms) layer.post_ffn_norm = norm(prefix + "post_ffw_norm", d);
}

LayerWeights WeightMapper::layer(std::int64_t index) {
  const std::string prefix = fmt::format("blk.{}.", index);
  LayerWeights layer;
  attention(prefix, layer);
  if (spec_.has_experts(index)) {
    expert_networks(prefix, layer);
  } else {
    feed_forward(prefix, layer);
  }
  return layer;
}

void WeightMapper::rope_factors(const RopeFactors& factors) {
  if (factors.tensor == kNoTensor) return;
  const TensorInfo& tensor = table_.at(factors.tensor);
  claim(tensor.name, {spec_.rope.dims / 2}, Presence::kYes);
  if (tensor.type == DType::kF32) return;
  fail(ErrorCode::kUnsupported, "{}: tensor '{}' has the type {}; supported for it: F32",
       table_.path(), table_.shown_name(tensor.name), dtype_info(tensor.type).name);
}

void WeightMapper::refuse_unclaimed() const {
  for (std::size_t i = 0; i < claimed_.size(); ++i) {
    if (claimed_[i]) continue;
    const std::string& name = table_.tensors[i].name;
    fail(ErrorCode::kUnsupported,
         "{}: tensor '{}' has no place in a {} model of {} layers{}; such files are not supported",
         table_.path(), table_.shown_name(name), arch_.name, spec_.n_layers,
         name.ends_with(".bias") ? " (that bias is not part of it)" : "");
  }
}

WeightMap WeightMapper::map() {
  WeightMap map;
  map.embedding = matrix("token_embd.weight", spec_.n_vocab, spec_.d_model, Presence::kYes);
  if (arch_.positions == PositionKind::kLearned) {
    map.positions = matrix("position_embd.weight", spec_.context_length + arch_.first_position_row,
                           spec_.d_model, Presence::kYes);
  }
  for (std::int64_t index = 0; index < spec_.n_layers; ++index) {
    map.layers.push_back(layer(index));
  }
  map.output_norm = norm("output_norm", spec_.d_model);
  map.output.weight = matrix("output.weight", spec_.n_vocab, spec_.d_model, Presence::kMaybe);
  if (!map.output.present()) map.output.weight = map.embedding;
  rope_factors(spec_.rope.factors);
  rope_factors(spec_.rope.long_factors);
  refuse_unclaimed();
  return map;
}

}  // namespace

WeightMap map_weights(const ModelSpec& spec, const TensorTable& table) {
  return WeightMapper(spec, table).map();
}

}  // namespace windlass

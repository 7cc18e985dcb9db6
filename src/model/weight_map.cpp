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

  LayerWeights layer(std::int64_t index);
  void attention(const std::string& prefix, LayerWeights& layer);
  void feed_forward(const std::string& prefix, LayerWeights& layer);
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
  const DType type = table_.at(id).type;
  if (transposed ? is_plain_float(type) : find_weight_type(type) != nullptr) return id;
  fail(ErrorCode::kUnsupported, "{}: tensor '{}' has the type {}; supported{}: {}", table_.path(),
       table_.shown_name(name), dtype_info(type).name, transposed ? " for it" : "",
       transposed ? "F32, F16, BF16" : weight_type_names());
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

void WeightMapper::attention(const std::string& prefix, LayerWeights& layer) {
  const std::int64_t d = spec_.d_model, q = spec_.q_dim(), k = spec_.k_dim(), v = spec_.v_dim();
  layer.attn_norm = norm(prefix + "attn_norm", d);
  if (arch_.form == LayerForm::kParallel) {
    layer.attn_norm_2 = norm(prefix + "attn_norm_2", d, Presence::kMaybe);
  }
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
  layer.attn_output =
      linear(prefix + "attn_output", d, spec_.attention_dim(), arch_.attn_output_bias);
  if (arch_.post_norms) layer.post_attn_norm = norm(prefix + "post_attention_norm", d);
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
  feed_forward(prefix, layer);
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

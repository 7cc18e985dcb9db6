#include "tools/synth_shape.h"

#include <fmt/ranges.h>

#include "src/base/error.h"
#include "src/base/nearest.h"
#include "src/ops/op_args.h"
#include "src/ops/weight_types.h"

namespace windlass {
namespace {

struct Preset {
  const char* name;
  SynthShape shape;
  bool tied;
};

// The published shapes of Llama 3.2 1B and 3B, of Llama 3 8B and 70B, and of Mixtral 8x7B.
const std::vector<Preset>& presets() {
  static const std::vector<Preset> kPresets = {
      {"llama-1b", {"", 16, 2048, 8192, 32, 8, 64, 128256}, true},
      {"llama-3b", {"", 28, 3072, 8192, 24, 8, 128, 128256}, true},
      {"llama-8b", {"", 32, 4096, 14336, 32, 8, 128, 128256}, false},
      {"llama-70b", {"", 80, 8192, 28672, 64, 8, 128, 128256}, false},
      {"mixtral-8x7b", {"", 32, 4096, 14336, 32, 8, 128, 32000, 8, 2}, false},
  };
  return kPresets;
}

const Preset& find_preset(const std::string& name) {
  std::vector<std::string> names;
  for (const Preset& preset : presets()) {
    if (name == preset.name || "llama-" + name == preset.name) return preset;
    names.emplace_back(preset.name);
  }
  fail(ErrorCode::kUsage, "unknown preset {}; the nearest is {}", name, nearest_name(name, names));
}

DType synth_type(const std::string& name, const char* flag) {
  const auto type = dtype_by_name(name);
  if (type && find_weight_type(*type) != nullptr) return *type;
  std::vector<std::string> names;
  for (const WeightType& row : kWeightTypes) names.emplace_back(dtype_info(row.type).name);
  fail(ErrorCode::kUsage, "{} {}: the nearest is {}; known are {}", flag, name,
       nearest_name(name, names), fmt::join(names, ", "));
}

void require(bool condition, const char* flag, std::int64_t value, const char* rule) {
  if (!condition) fail(ErrorCode::kUsage, "{} {}: {}", flag, value, rule);
}

// Limits far above any model, so that sizes cannot overflow: 2^20 layers' bytes are checked against
// the disk anyway.
void check_shape(const SynthModel& m) {
  const char* range = "give a number from 1 to 1048576";
  const auto in_range = [](std::int64_t value) { return value >= 1 && value <= (1 << 20); };
  require(in_range(m.n_layers) && m.n_layers <= 4096, "--layers", m.n_layers,
          "give a number from 1 to 4096");
  require(in_range(m.d_model), "--embd", m.d_model, range);
  require(in_range(m.d_ffn), "--ffn", m.d_ffn, range);
  require(in_range(m.n_heads), "--heads", m.n_heads, range);
  require(in_range(m.n_kv_heads) && m.n_heads % m.n_kv_heads == 0, "--kv-heads", m.n_kv_heads,
          "must divide the number of heads");
  require(in_range(m.head_dim) && m.head_dim % 2 == 0, "--head-dim", m.head_dim,
          "must be even and above 0");
  require(in_range(m.n_vocab), "--vocab", m.n_vocab,
          "give a number from 1 to 1048576, or --tokenizer FROM.gguf");
  require(m.n_experts >= 0 && m.n_experts <= kMaxExperts, "--experts", m.n_experts,
          "give a number from 0 to 1024");
  const std::int64_t least = m.n_experts > 0 ? 1 : 0;
  require(m.n_experts_used >= least && m.n_experts_used <= m.n_experts, "--experts-used",
          m.n_experts_used, "give a number from 1 to --experts, or leave both out");
}

// Rows of every tensor must be whole blocks of its type.
void check_blocks(const SynthModel& model) {
  for (const SynthTensor& tensor : synth_tensors(model)) {
    const DTypeInfo& info = dtype_info(tensor.type);
    if (tensor.shape.back() % info.block_weights == 0) continue;
    fail(ErrorCode::kUsage,
         "{} has rows of {} weights, which is no multiple of the {} in a block of {}", tensor.name,
         tensor.shape.back(), info.block_weights, info.name);
  }
}

SynthShape completed_shape(const SynthShape& given, std::int64_t tokenizer_vocab) {
  SynthShape shape = given;
  if (!given.preset.empty()) {
    if (given.layers || given.embd || given.ffn || given.heads || given.kv_heads ||
        given.head_dim || given.experts || given.experts_used) {
      fail(ErrorCode::kUsage,
           "--preset {} fixes the shape: leave out --layers, --embd and the others", given.preset);
    }
    shape = find_preset(given.preset).shape;
    if (given.vocab) shape.vocab = given.vocab;
  }
  if (tokenizer_vocab > 0) {
    if (given.vocab && given.vocab != tokenizer_vocab) {
      fail(ErrorCode::kUsage, "--vocab {}: the tokenizer has {} tokens", given.vocab,
           tokenizer_vocab);
    }
    shape.vocab = tokenizer_vocab;
  }
  if (shape.kv_heads == 0) shape.kv_heads = shape.heads;
  if (shape.head_dim == 0 && shape.heads > 0) shape.head_dim = shape.embd / shape.heads;
  return shape;
}

}  // namespace

SynthModel resolve_synth_model(const Options& options, std::int64_t tokenizer_vocab) {
  const SynthShape shape = completed_shape(options.shape, tokenizer_vocab);
  SynthModel model;
  model.name = options.shape.preset.empty() ? "synthetic" : "synthetic " + options.shape.preset;
  model.n_layers = shape.layers;
  model.d_model = shape.embd;
  model.d_ffn = shape.ffn;
  model.n_heads = shape.heads;
  model.n_kv_heads = shape.kv_heads;
  model.head_dim = shape.head_dim;
  model.n_vocab = shape.vocab;
  model.n_experts = shape.experts;
  model.n_experts_used = shape.experts_used;
  model.tied =
      options.tied || (!options.shape.preset.empty() && find_preset(options.shape.preset).tied);
  model.weight_type = synth_type(options.weight_type, "--type");
  model.embd_type = synth_type(options.embd_type, "--embd-type");
  model.output_type = options.output_type.empty()
                          ? model.weight_type
                          : synth_type(options.output_type, "--output-type");
  if (model.tied && !options.output_type.empty()) {
    fail(ErrorCode::kUsage, "--output-type {}: a tied model has no output matrix",
         options.output_type);
  }
  check_shape(model);
  check_blocks(model);
  return model;
}

std::vector<SynthTensor> synth_tensors(const SynthModel& m) {
  const std::int64_t q_dim = m.n_heads * m.head_dim, kv_dim = m.n_kv_heads * m.head_dim;
  std::vector<SynthTensor> tensors;
  const auto norm = [&](std::string name) {
    tensors.push_back({std::move(name), DType::kF32, {m.d_model}, SynthFill::kNorm});
  };
  const auto matrix = [&](std::string name, std::int64_t n_out, std::int64_t n_in) {
    tensors.push_back({std::move(name), m.weight_type, {n_out, n_in}, SynthFill::kMatrix});
  };
  const auto experts = [&](std::string name, std::int64_t n_out, std::int64_t n_in) {
    tensors.push_back(
        {std::move(name), m.weight_type, {m.n_experts, n_out, n_in}, SynthFill::kMatrix});
  };
  const auto router = [&](std::string name) {
    tensors.push_back({std::move(name), DType::kF32, {m.n_experts, m.d_model}, SynthFill::kMatrix});
  };
  tensors.push_back(
      {"token_embd.weight", m.embd_type, {m.n_vocab, m.d_model}, SynthFill::kEmbedding});
  for (std::int64_t layer = 0; layer < m.n_layers; ++layer) {
    const std::string prefix = fmt::format("blk.{}.", layer);
    norm(prefix + "attn_norm.weight");
    matrix(prefix + "attn_q.weight", q_dim, m.d_model);
    matrix(prefix + "attn_k.weight", kv_dim, m.d_model);
    matrix(prefix + "attn_v.weight", kv_dim, m.d_model);
    matrix(prefix + "attn_output.weight", m.d_model, q_dim);
    norm(prefix + "ffn_norm.weight");
    if (m.n_experts > 0) {
      router(prefix + "ffn_gate_inp.weight");
      experts(prefix + "ffn_gate_exps.weight", m.d_ffn, m.d_model);
      experts(prefix + "ffn_up_exps.weight", m.d_ffn, m.d_model);
      experts(prefix + "ffn_down_exps.weight", m.d_model, m.d_ffn);
      continue;
    }
    matrix(prefix + "ffn_gate.weight", m.d_ffn, m.d_model);
    matrix(prefix + "ffn_up.weight", m.d_ffn, m.d_model);
    matrix(prefix + "ffn_down.weight", m.d_model, m.d_ffn);
  }
  norm("output_norm.weight");
  if (!m.tied) {
    tensors.push_back({"output.weight", m.output_type, {m.n_vocab, m.d_model}, SynthFill::kMatrix});
  }
  return tensors;
}

}  // namespace windlass

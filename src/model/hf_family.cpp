#include "src/model/hf_family.h"

#include <algorithm>
#include <vector>

#include "src/base/error.h"
#include "src/base/nearest.h"
#include "src/format/printable.h"

namespace windlass {
namespace {

constexpr NameRule kDecoderNames[] = {
    {"embed_tokens", "token_embd"},
    {"norm", "output_norm"},
    {"lm_head", "output"},
    {"layers.*.input_layernorm", "blk.*.attn_norm"},
    {"layers.*.post_attention_layernorm", "blk.*.ffn_norm"},
    {"layers.*.self_attn.q_proj", "blk.*.attn_q"},
    {"layers.*.self_attn.k_proj", "blk.*.attn_k"},
    {"layers.*.self_attn.v_proj", "blk.*.attn_v"},
    {"layers.*.self_attn.o_proj", "blk.*.attn_output"},
    {"layers.*.self_attn.q_norm", "blk.*.attn_q_norm"},
    {"layers.*.self_attn.k_norm", "blk.*.attn_k_norm"},
    {"layers.*.mlp.gate_proj", "blk.*.ffn_gate"},
    {"layers.*.mlp.up_proj", "blk.*.ffn_up"},
    {"layers.*.mlp.down_proj", "blk.*.ffn_down"},
    {"layers.*.mlp.gate", "blk.*.ffn_gate_inp"},
    {"layers.*.mlp.experts.*.gate_proj", "blk.*.ffn_gate.*"},
    {"layers.*.mlp.experts.*.up_proj", "blk.*.ffn_up.*"},
    {"layers.*.mlp.experts.*.down_proj", "blk.*.ffn_down.*"},
    {"layers.*.mlp.shared_experts.gate_proj", "blk.*.ffn_gate_shexp"},
    {"layers.*.mlp.shared_experts.up_proj", "blk.*.ffn_up_shexp"},
    {"layers.*.mlp.shared_experts.down_proj", "blk.*.ffn_down_shexp"},
    {"layers.*.self_attn.q_a_proj", "blk.*.attn_q_a"},
    {"layers.*.self_attn.q_a_layernorm", "blk.*.attn_q_a_norm"},
    {"layers.*.self_attn.q_b_proj", "blk.*.attn_q_b"},
    {"layers.*.self_attn.kv_a_proj_with_mqa", "blk.*.attn_kv_a_mqa"},
    {"layers.*.self_attn.kv_a_layernorm", "blk.*.attn_kv_a_norm"},
    {"layers.*.self_attn.kv_b_proj", "blk.*.attn_kv_b"},
};

// Before kDecoderNames: what another family calls by the same name.
constexpr NameRule kGemmaNames[] = {
    {"layers.*.post_attention_layernorm", "blk.*.post_attention_norm"},
    {"layers.*.pre_feedforward_layernorm", "blk.*.ffn_norm"},
    {"layers.*.post_feedforward_layernorm", "blk.*.post_ffw_norm"},
};

constexpr NameRule kPhi3Names[] = {
    {"layers.*.self_attn.qkv_proj", "blk.*.attn_qkv"},
    {"layers.*.mlp.gate_up_proj", "blk.*.ffn_up"},
};

constexpr NameRule kStarcoder2Names[] = {
    {"layers.*.mlp.c_fc", "blk.*.ffn_up"},
    {"layers.*.mlp.c_proj", "blk.*.ffn_down"},
};

constexpr NameRule kMixtralNames[] = {
    {"layers.*.block_sparse_moe.gate", "blk.*.ffn_gate_inp"},
    {"layers.*.block_sparse_moe.experts.*.w1", "blk.*.ffn_gate.*"},
    {"layers.*.block_sparse_moe.experts.*.w2", "blk.*.ffn_down.*"},
    {"layers.*.block_sparse_moe.experts.*.w3", "blk.*.ffn_up.*"},
};

constexpr NameRule kFalconNames[] = {
    {"word_embeddings", "token_embd"},
    {"ln_f", "output_norm"},
    {"lm_head", "output"},
    {"h.*.input_layernorm", "blk.*.attn_norm"},
    {"h.*.ln_mlp", "blk.*.attn_norm"},
    {"h.*.ln_attn", "blk.*.attn_norm_2"},
    {"h.*.self_attention.query_key_value", "blk.*.attn_qkv"},
    {"h.*.self_attention.dense", "blk.*.attn_output"},
    {"h.*.mlp.dense_h_to_4h", "blk.*.ffn_up"},
    {"h.*.mlp.dense_4h_to_h", "blk.*.ffn_down"},
};

constexpr NameRule kGpt2Names[] = {
    {"wte", "token_embd"},
    {"wpe", "position_embd"},
    {"ln_f", "output_norm"},
    {"lm_head", "output"},
    {"h.*.ln_1", "blk.*.attn_norm"},
    {"h.*.attn.c_attn", "blk.*.attn_qkv", true},
    {"h.*.attn.c_proj", "blk.*.attn_output", true},
    {"h.*.ln_2", "blk.*.ffn_norm"},
    {"h.*.mlp.c_fc", "blk.*.ffn_up", true},
    {"h.*.mlp.c_proj", "blk.*.ffn_down", true},
};

constexpr NameRule kOptNames[] = {
    {"embed_tokens", "token_embd"},
    {"embed_positions", "position_embd"},
    {"final_layer_norm", "output_norm"},
    {"lm_head", "output"},
    {"layers.*.self_attn_layer_norm", "blk.*.attn_norm"},
    {"layers.*.self_attn.q_proj", "blk.*.attn_q"},
    {"layers.*.self_attn.k_proj", "blk.*.attn_k"},
    {"layers.*.self_attn.v_proj", "blk.*.attn_v"},
    {"layers.*.self_attn.out_proj", "blk.*.attn_output"},
    {"layers.*.final_layer_norm", "blk.*.ffn_norm"},
    {"layers.*.fc1", "blk.*.ffn_up"},
    {"layers.*.fc2", "blk.*.ffn_down"},
};

constexpr FixedSetting kLlama[] = {{"hidden_act", "\"silu\""}, {"mlp_bias", "false"}};
constexpr FixedSetting kSilu[] = {{"hidden_act", "\"silu\""}};
constexpr FixedSetting kQwen3Moe[] = {
    {"hidden_act", "\"silu\""}, {"decoder_sparse_step", "1"}, {"mlp_only_layers", "[]"}};
constexpr FixedSetting kGemma[] = {{"hidden_activation", "\"gelu_pytorch_tanh\""},
                                   {"use_bidirectional_attention", "false"}};
constexpr FixedSetting kFalcon[] = {
    {"activation", "\"gelu\""}, {"alibi", "false"}, {"parallel_attn", "true"}};
constexpr FixedSetting kGpt2[] = {{"activation_function", "\"gelu_new\""},
                                  {"scale_attn_weights", "true"},
                                  {"scale_attn_by_inverse_layer_idx", "false"}};
constexpr FixedSetting kOpt[] = {{"activation_function", "\"relu\""},
                                 {"do_layer_norm_before", "true"},
                                 {"_remove_final_layer_norm", "false"},
                                 {"layer_norm_elementwise_affine", "true"}};
constexpr FixedSetting kStarcoder2[] = {{"hidden_act", "\"gelu_pytorch_tanh\""}};
constexpr FixedSetting kStableLm[] = {
    {"hidden_act", "\"silu\""}, {"use_parallel_residual", "false"}, {"qk_layernorm", "false"}};
constexpr FixedSetting kDeepseek2[] = {{"hidden_act", "\"silu\""}, {"moe_layer_freq", "1"}};

constexpr Conventions kRopeHalves{.rope_halves = true};
constexpr Conventions kNormsLessOne{.norm_offset = 1};
constexpr Conventions kQkvByGroup{.qkv_by_group = true};

constexpr HfDefaults kLlamaDefaults{
    .rms_epsilon = 1e-6, .windows = WindowSetting::kIgnored, .states_bias = true};
constexpr HfDefaults kMistralDefaults{.rms_epsilon = 1e-6, .window = 4096, .states_bias = true};
constexpr HfDefaults kMixtralDefaults{.rms_epsilon = 1e-5, .states_bias = true};
constexpr HfDefaults kQwenDefaults{.rms_epsilon = 1e-6, .windows = WindowSetting::kOnRequest};
constexpr HfDefaults kGemmaDefaults{.rms_epsilon = 1e-6, .window = 4096};
constexpr HfDefaults kPhi3Defaults{.rms_epsilon = 1e-5};
constexpr HfDefaults kDeepseek2Defaults{.rms_epsilon = 1e-6};

constexpr HfFamily kFamilies[] = {
    {"llama", "llama", "model.", {{kDecoderNames, {}}}, kLlama, false, kRopeHalves, kLlamaDefaults},
    {"mistral",
     "llama",
     "model.",
     {{kDecoderNames, {}}},
     kSilu,
     false,
     kRopeHalves,
     kMistralDefaults},
    {"mixtral",
     "llama",
     "model.",
     {{kMixtralNames, kDecoderNames}},
     kSilu,
     false,
     kRopeHalves,
     kMixtralDefaults},
    {"qwen2", "qwen2", "model.", {{kDecoderNames, {}}}, kSilu, false, {}, kQwenDefaults},
    {"qwen3", "qwen3", "model.", {{kDecoderNames, {}}}, kSilu, false, {}, kQwenDefaults},
    {"qwen3_moe", "qwen3moe", "model.", {{kDecoderNames, {}}}, kQwen3Moe, false, {}, kQwenDefaults},
    {"gemma2",
     "gemma2",
     "model.",
     {{kGemmaNames, kDecoderNames}},
     kGemma,
     true,
     kNormsLessOne,
     kGemmaDefaults},
    {"gemma3_text",
     "gemma3",
     "model.",
     {{kGemmaNames, kDecoderNames}},
     kGemma,
     true,
     kNormsLessOne,
     kGemmaDefaults},
    {"phi3", "phi3", "model.", {{kPhi3Names, kDecoderNames}}, kSilu, false, {}, kPhi3Defaults},
    {"falcon", "falcon", "transformer.", {{kFalconNames, {}}}, kFalcon, true, kQkvByGroup},
    {"gpt2", "gpt2", "transformer.", {{kGpt2Names, {}}}, kGpt2, true},
    {"opt", "opt", "model.decoder.", {{kOptNames, {}}}, kOpt, true},
    {"starcoder2", "starcoder2", "model.", {{kStarcoder2Names, kDecoderNames}}, kStarcoder2, true},
    {"stablelm", "stablelm", "model.", {{kDecoderNames, {}}}, kStableLm},
    {"deepseek_v2",
     "deepseek2",
     "model.",
     {{kDecoderNames, {}}},
     kDeepseek2,
     false,
     {},
     kDeepseek2Defaults},
};

bool is_number(std::string_view part) {
  return !part.empty() && part.size() <= 9 &&
         std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "layers.12.mlp" -> "layers.*.mlp" and {"12"}.
struct Pattern {
  std::string text;
  std::vector<std::string_view> numbers;
};

Pattern pattern_of(std::string_view name) {
  Pattern pattern;
  while (true) {
    const std::size_t dot = name.find('.');
    const std::string_view part = name.substr(0, dot);
    if (is_number(part)) {
      pattern.numbers.push_back(part);
      pattern.text += '*';
    } else {
      pattern.text += part;
    }
    if (dot == std::string_view::npos) return pattern;
    pattern.text += '.';
    name.remove_prefix(dot + 1);
  }
}

std::string with_numbers(std::string_view pattern, const std::vector<std::string_view>& numbers) {
  std::string name;
  std::size_t next = 0;
  for (const char c : pattern) {
    if (c == '*') {
      name += numbers[next++];
    } else {
      name += c;
    }
  }
  return name;
}

std::string_view without_prefix(const HfFamily& family, std::string_view stored) {
  if (stored.starts_with(family.prefix)) stored.remove_prefix(family.prefix.size());
  return stored;
}

}  // namespace

std::span<const HfFamily> hf_families() { return kFamilies; }

const HfFamily& find_hf_family(std::string_view model_type, const std::string& path) {
  std::string supported;
  std::vector<std::string> names;
  for (const HfFamily& family : kFamilies) {
    if (family.model_type == model_type) return family;
    supported += supported.empty() ? "" : ", ";
    supported += names.emplace_back(family.model_type);
  }
  fail(ErrorCode::kUnsupported,
       "{}: model_type '{}' is not supported; supported: {}; the nearest is {}", path,
       printable(model_type), supported, nearest_name(std::string(model_type), names));
}

std::optional<PlacedName> place_name(const HfFamily& family, std::string_view stored) {
  const std::string_view name = without_prefix(family, stored);
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view suffix = name.substr(dot);
  if (suffix != ".weight" && suffix != ".bias") return std::nullopt;
  const Pattern pattern = pattern_of(name.substr(0, dot));
  for (const std::span<const NameRule> rules : family.names) {
    for (const NameRule& rule : rules) {
      if (rule.stored != pattern.text) continue;
      return PlacedName{with_numbers(rule.name, pattern.numbers) + std::string(suffix),
                        rule.transposed && suffix == ".weight"};
    }
  }
  return std::nullopt;
}

std::string stored_name(const HfFamily& family, std::string_view name) {
  const std::size_t dot = std::min(name.rfind('.'), name.size());
  const Pattern pattern = pattern_of(name.substr(0, dot));
  for (const std::span<const NameRule> rules : family.names) {
    for (const NameRule& rule : rules) {
      if (rule.name != pattern.text) continue;
      const bool outside = rule.stored == "lm_head";  // of the part that the prefix names
      return (outside ? "" : std::string(family.prefix)) +
             with_numbers(rule.stored, pattern.numbers) + std::string(name.substr(dot));
    }
  }
  return std::string(name);
}

bool is_derived(const HfFamily& family, std::string_view stored) {
  static constexpr std::string_view kDerived[] = {"layers.*.self_attn.rotary_emb.inv_freq",
                                                  "rotary_emb.inv_freq", "h.*.attn.bias",
                                                  "h.*.attn.masked_bias"};
  const Pattern pattern = pattern_of(without_prefix(family, stored));
  return std::find(std::begin(kDerived), std::end(kDerived), pattern.text) != std::end(kDerived);
}

}  // namespace windlass

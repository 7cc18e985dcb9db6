#include "src/model/hf_config.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "src/base/error.h"
#include "src/format/printable.h"
#include "src/model/json_reader.h"

namespace windlass {
namespace {

using Json = nlohmann::json;

// The bounds of model_spec.cpp, so that its checks of what is written here always pass.
constexpr std::int64_t kMaxLayers = 1 << 14;
constexpr std::int64_t kMaxWidth = 1 << 24;
constexpr std::int64_t kMaxHeads = 1 << 16;
constexpr std::int64_t kMaxPosition = std::numeric_limits<std::int32_t>::max();

class ConfigReader {
 public:
  ConfigReader(const JsonReader& config, const HfFamily& family, TensorTable& table)
      : config_(config), family_(family), table_(table) {}

  void read();

 private:
  using Keys = std::initializer_list<const char*>;

  std::string key(const char* suffix) const {
    return std::string(family_.architecture) + "." + suffix;
  }
  void set_int(const char* suffix, std::int64_t value) { table_.metadata[key(suffix)] = value; }
  void set_float(const char* suffix, double value) { table_.metadata[key(suffix)] = value; }
  void set_text(const char* suffix, const char* value) {
    table_.metadata[key(suffix)] = std::string(value);
  }
  void copy_int(const char* suffix, Keys keys, std::int64_t min, std::int64_t max);
  void copy_number(const char* suffix, Keys keys);

  void refuse_other_settings() const;
  void read_sizes();
  void read_heads();
  void read_soft_cap(const char* name);
  void read_window();
  void refuse_windows();
  void read_layer_types(const std::vector<std::string>& types);
  void read_rope();
  void read_rope_base(const JsonReader* rope);
  void read_rope_scaling(const JsonReader& rope);
  void read_yarn(const JsonReader& rope);
  void read_llama3(const JsonReader& rope);
  void read_longrope(const JsonReader& rope);
  std::vector<float> factor_list(const JsonReader& rope, const char* key) const;
  void read_experts();
  void read_expert_choice();
  void read_latent_attention();
  void read_end_id();
  double positive(const JsonReader& from, const char* key) const;

  const JsonReader& config_;
  const HfFamily& family_;
  TensorTable& table_;
  std::int64_t head_dim_ = 0;  // of a query, as RoPE sees it
  std::int64_t rope_dims_ = 0;
  std::int64_t context_ = 0;
};

void ConfigReader::copy_int(const char* suffix, Keys keys, std::int64_t min, std::int64_t max) {
  if (const auto value = config_.integer(keys, min, max)) set_int(suffix, *value);
}

void ConfigReader::copy_number(const char* suffix, Keys keys) {
  if (const auto value = config_.number(keys)) set_float(suffix, *value);
}

double ConfigReader::positive(const JsonReader& from, const char* key) const {
  const std::optional<double> value = from.number({key});
  if (!value) fail(ErrorCode::kBadFile, "{}: '{}' is missing", config_.path(), key);
  if (!(*value > 0)) from.refuse(key, *value, "above 0");
  return *value;
}

void ConfigReader::refuse_other_settings() const {
  if (const Json* quantised = config_.find({"quantization_config"})) {
    fail(ErrorCode::kUnsupported,
         "{}: the weights are quantised by another program ('quantization_config': {}); supported: "
         "F32, F16, BF16",
         config_.path(), shown_json(*quantised));
  }
  for (const FixedSetting& setting : family_.fixed) {
    const Json* value = config_.find({setting.key.data()});
    if (value == nullptr || *value == Json::parse(setting.value)) continue;
    fail(ErrorCode::kUnsupported, "{}: '{}' is {}; supported for {}: {}", config_.path(),
         setting.key, shown_json(*value), family_.model_type, setting.value);
  }
}

void ConfigReader::read_sizes() {
  const std::int64_t width = config_.require_integer({"hidden_size", "n_embd"}, 1, kMaxWidth);
  set_int("embedding_length", width);
  set_int("block_count", config_.require_integer({"num_hidden_layers", "n_layer"}, 1, kMaxLayers));
  set_int(
      "feed_forward_length",
      config_.integer({"intermediate_size", "n_inner", "ffn_hidden_size", "ffn_dim"}, 1, kMaxWidth)
          .value_or(4 * width));
  context_ =
      config_.integer({"max_position_embeddings", "n_positions"}, 1, kMaxPosition).value_or(2048);
  set_int("context_length", context_);
  copy_int("rope.scaling.original_context_length", {"original_max_position_embeddings"}, 1,
           kMaxPosition);
  set_int("vocab_size", config_.require_integer({"vocab_size"}, 1, kMaxPosition));
  constexpr double kDefaultEpsilon = 1e-5;  // of a torch LayerNorm (opt states none)
  if (family_.defaults.rms_epsilon > 0) {
    set_float("attention.layer_norm_rms_epsilon",
              config_.number({"rms_norm_eps"}).value_or(family_.defaults.rms_epsilon));
  } else {
    set_float("attention.layer_norm_epsilon",
              config_.number({"layer_norm_epsilon", "norm_epsilon", "layer_norm_eps"})
                  .value_or(kDefaultEpsilon));
  }
  if (const auto parallel = config_.flag("use_parallel_residual")) {
    table_.metadata[key("use_parallel_residual")] = *parallel;
  }
  read_soft_cap("attn_logit_softcapping");
  read_soft_cap("final_logit_softcapping");
  if (config_.find({"query_pre_attn_scalar"}) != nullptr) {
    set_float("attention.scale", 1.0 / std::sqrt(positive(config_, "query_pre_attn_scalar")));
  }
}

void ConfigReader::read_heads() {
  const std::int64_t heads =
      config_.require_integer({"num_attention_heads", "n_head"}, 1, kMaxHeads);
  set_int("attention.head_count", heads);
  std::int64_t kv_heads =
      config_.integer({"num_key_value_heads", "num_kv_heads"}, 1, kMaxHeads).value_or(heads);
  // Falcon: 'num_kv_heads' counts in the new architecture only.
  const bool grouped = config_.flag("new_decoder_architecture").value_or(true);
  if (!grouped) kv_heads = config_.flag("multi_query").value_or(true) ? 1 : heads;
  set_int("attention.head_count_kv", kv_heads);
  if (config_.find({"kv_lora_rank"}) != nullptr) return;  // read_latent_attention's
  const std::int64_t width = *table_.find_int(key("embedding_length"), 1, kMaxWidth);
  const auto stated = config_.integer({"head_dim"}, 1, kMaxHeads);
  if (!stated && width % heads != 0) {
    fail(ErrorCode::kBadFile,
         "{}: a hidden_size of {} does not divide into {} heads, and 'head_dim' is missing",
         config_.path(), width, heads);
  }
  head_dim_ = stated.value_or(width / heads);
  set_int("attention.key_length", head_dim_);
  set_int("attention.value_length", head_dim_);
}

// An absent key means the architecture's default, a null means none.
void ConfigReader::read_soft_cap(const char* name) {
  if (const auto cap = config_.number({name})) {
    set_float(name, *cap);
  } else if (config_.is_null(name)) {
    set_float(name, 0);
  }
}

void ConfigReader::read_window() {
  const HfDefaults& defaults = family_.defaults;
  if (defaults.windows == WindowSetting::kIgnored) return;
  if (defaults.windows == WindowSetting::kOnRequest) return refuse_windows();
  const auto window = config_.integer({"sliding_window"}, 1, kMaxPosition);
  if (window) {
    set_int("attention.sliding_window", *window);
  } else if (config_.is_null("sliding_window")) {
    set_int("attention.sliding_window", 0);
  } else if (defaults.window > 0) {
    set_int("attention.sliding_window", defaults.window);
  }
  copy_int("attention.sliding_window_pattern",
           {"sliding_window_pattern", "_sliding_window_pattern"}, 1, kMaxLayers);
  if (const auto types = config_.texts("layer_types")) read_layer_types(*types);
}

// The families that have windows on request have them from some layer on, which GGUF cannot say.
void ConfigReader::refuse_windows() {
  set_int("attention.sliding_window", 0);
  const std::int64_t window = config_.integer({"sliding_window"}, 1, kMaxPosition).value_or(4096);
  if (!config_.flag("use_sliding_window").value_or(false) || window >= context_) return;
  if (config_.is_null("sliding_window")) return;
  const std::int64_t first = config_.integer({"max_window_layers"}, 0, kMaxLayers).value_or(28);
  if (first >= table_.require_int(key("block_count"), 1, kMaxLayers)) return;
  fail(
      ErrorCode::kUnsupported,
      "{}: 'use_sliding_window' is true ('sliding_window': {}, 'max_window_layers': {}); supported "
      "for {}: false",
      config_.path(), window, first, family_.model_type);
}

// The last layer of each period attends to all; as GGUF states it.
void ConfigReader::read_layer_types(const std::vector<std::string>& types) {
  const std::string full = "full_attention", windowed = "sliding_attention";
  const auto n_layers =
      static_cast<std::size_t>(table_.require_int(key("block_count"), 1, kMaxLayers));
  if (types.size() != n_layers) {
    fail(ErrorCode::kBadFile, "{}: 'layer_types' has {} entries for {} layers", config_.path(),
         types.size(), n_layers);
  }
  const auto first_full = std::find(types.begin(), types.end(), full) - types.begin();
  for (std::size_t i = 0; i < n_layers; ++i) {
    const auto period = static_cast<std::size_t>(first_full) + 1;
    if (types[i] == ((i + 1) % period == 0 ? full : windowed)) continue;
    fail(ErrorCode::kUnsupported,
         "{}: 'layer_types' has '{}' in layer {}; supported: one {} after every so many {}",
         config_.path(), printable(types[i]), i, full, windowed);
  }
  if (first_full == 0) return set_int("attention.sliding_window", 0);
  set_int("attention.sliding_window_pattern", first_full + 1);
}

void ConfigReader::read_rope() {
  // Since transformers 5 all is in rope_parameters; where layers differ, by kinds of layers.
  std::optional<JsonReader> rope = config_.object("rope_parameters");
  if (rope) {
    if (const auto local = rope->object("sliding_attention")) {
      set_float("rope.freq_base_swa", positive(*local, "rope_theta"));
    }
    if (const auto global = rope->object("full_attention")) rope = global;
  }
  if (config_.find({"rope_local_base_freq"}) != nullptr) {
    set_float("rope.freq_base_swa", positive(config_, "rope_local_base_freq"));
  }
  read_rope_base(rope ? &*rope : nullptr);
  if (!rope) rope = config_.object("rope_scaling");
  if (rope) read_rope_scaling(*rope);
}

void ConfigReader::read_rope_base(const JsonReader* rope) {
  if (rope != nullptr && rope->find({"rope_theta"}) != nullptr) {
    set_float("rope.freq_base", positive(*rope, "rope_theta"));
  } else if (config_.find({"rope_theta"}) != nullptr) {
    set_float("rope.freq_base", positive(config_, "rope_theta"));
  }
  rope_dims_ = config_.integer({"qk_rope_head_dim"}, 1, kMaxHeads).value_or(head_dim_);
  std::optional<double> part;
  if (rope != nullptr) part = rope->number({"partial_rotary_factor"});
  if (!part) part = config_.number({"partial_rotary_factor"});
  if (part && !(*part > 0 && *part <= 1)) {
    config_.refuse("partial_rotary_factor", *part, "above 0 and at most 1");
  }
  if (part) rope_dims_ = static_cast<std::int64_t>(static_cast<double>(rope_dims_) * *part);
  set_int("rope.dimension_count", rope_dims_);
}

void ConfigReader::read_rope_scaling(const JsonReader& rope) {
  const std::string type = rope.text({"rope_type", "type"}).value_or("default");
  if (type == "default") return;
  if (const auto original = rope.integer({"original_max_position_embeddings"}, 1, kMaxPosition)) {
    set_int("rope.scaling.original_context_length", *original);
  }
  if (type == "linear") {
    set_text("rope.scaling.type", "linear");
    set_float("rope.scaling.factor", positive(rope, "factor"));
  } else if (type == "yarn") {
    read_yarn(rope);
  } else if (type == "llama3") {
    read_llama3(rope);
  } else if (type == "longrope" || type == "su") {
    read_longrope(rope);
  } else {
    fail(ErrorCode::kUnsupported,
         "{}: RoPE type '{}' is not supported; supported: default, linear, llama3, longrope, yarn",
         config_.path(), printable(type));
  }
}

void ConfigReader::read_yarn(const JsonReader& rope) {
  const double factor = positive(rope, "factor");
  set_text("rope.scaling.type", "yarn");
  set_float("rope.scaling.factor", factor);
  if (const auto fast = rope.number({"beta_fast"})) {
    set_float("rope.scaling.yarn_beta_fast", *fast);
  }
  if (const auto slow = rope.number({"beta_slow"})) {
    set_float("rope.scaling.yarn_beta_slow", *slow);
  }
  // DeepSeek: the two cancel in the rotation, and the second scales the queries (as GGUF has it).
  const auto mscale = rope.number({"mscale"}), all_dims = rope.number({"mscale_all_dim"});
  if (mscale != all_dims) {
    fail(ErrorCode::kUnsupported,
         "{}: RoPE with 'mscale' other than 'mscale_all_dim' is not supported", config_.path());
  }
  if (all_dims) set_float("rope.scaling.yarn_log_multiplier", 0.1 * *all_dims);
  // The metadata's factor comes on top of YaRN's own.
  if (rope.find({"attention_factor"}) != nullptr) {
    set_float("rope.scaling.yarn_attn_factor",
              positive(rope, "attention_factor") / (1.0 + 0.1 * std::log(factor)));
  }
}

// GGUF has the factors that follow from these numbers as a tensor. As in transformers'
// _compute_llama3_parameters: wavelengths up to original/high_freq_factor are kept, those from
// original/low_freq_factor on are scaled by factor, and between them 1/f goes over linearly.
void ConfigReader::read_llama3(const JsonReader& rope) {
  const double factor = positive(rope, "factor");
  const double low = positive(rope, "low_freq_factor"), high = positive(rope, "high_freq_factor");
  const auto original = static_cast<double>(
      rope.require_integer({"original_max_position_embeddings"}, 1, kMaxPosition));
  if (!(high > low)) rope.refuse("high_freq_factor", high, "above 'low_freq_factor'");
  const double base = table_.find_float(key("rope.freq_base")).value_or(10000.0);
  std::vector<float> factors;
  for (std::int64_t i = 0; i < rope_dims_ / 2; ++i) {
    const double frequency =
        std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(rope_dims_));
    const double turns = original * frequency / (2.0 * M_PI);  // in the original context
    const double kept = std::min(std::max((turns - low) / (high - low), 0.0), 1.0);
    factors.push_back(static_cast<float>(1.0 / ((1.0 - kept) / factor + kept)));
  }
  table_.vectors["rope_freqs.weight"] = std::move(factors);
}

std::vector<float> ConfigReader::factor_list(const JsonReader& rope, const char* name) const {
  const auto factors = rope.numbers(name);
  if (!factors) fail(ErrorCode::kBadFile, "{}: '{}' is missing", config_.path(), name);
  for (const float factor : *factors) {
    if (!(factor > 0)) rope.refuse(name, factor, "a list of numbers above 0");
  }
  if (std::ssize(*factors) != rope_dims_ / 2) {
    fail(ErrorCode::kBadFile, "{}: '{}' has {} numbers, but RoPE turns {} pairs", config_.path(),
         name, factors->size(), rope_dims_ / 2);
  }
  return *factors;
}

void ConfigReader::read_longrope(const JsonReader& rope) {
  table_.vectors["rope_factors_short.weight"] = factor_list(rope, "short_factor");
  table_.vectors["rope_factors_long.weight"] = factor_list(rope, "long_factor");
  const char* const original_key = "original_max_position_embeddings";
  const bool stated_inside = rope.find({original_key}) != nullptr;
  const std::int64_t original =
      (stated_inside ? rope : config_).require_integer({original_key}, 1, kMaxPosition);
  // transformers: the attention's factor grows with how far the context was stretched.
  const double stretch = static_cast<double>(context_) / static_cast<double>(original);
  double attention = 1.0;
  if (stretch > 1 && original > 1) {
    attention = std::sqrt(1.0 + std::log(stretch) / std::log(static_cast<double>(original)));
  }
  if (rope.find({"attention_factor"}) != nullptr) attention = positive(rope, "attention_factor");
  set_float("rope.scaling.attn_factor", attention);
}

void ConfigReader::read_experts() {
  copy_int("expert_count", {"num_local_experts", "num_experts", "n_routed_experts"}, 1, kMaxHeads);
  copy_int("expert_used_count", {"num_experts_per_tok"}, 1, kMaxHeads);
  copy_int("expert_feed_forward_length", {"moe_intermediate_size"}, 1, kMaxWidth);
  copy_int("expert_shared_count", {"n_shared_experts"}, 0, kMaxHeads);
  copy_int("leading_dense_block_count", {"first_k_dense_replace"}, 0, kMaxLayers);
  copy_int("expert_group_count", {"n_group"}, 1, kMaxHeads);
  copy_int("expert_group_used_count", {"topk_group"}, 1, kMaxHeads);
  read_expert_choice();
  copy_number("expert_weights_scale", {"routed_scaling_factor"});
  // Families that give experts a width of their own have this setting, off by default.
  if (config_.find({"moe_intermediate_size"}) != nullptr) {
    table_.metadata[key("expert_weights_norm")] = config_.flag("norm_topk_prob").value_or(false);
  }
  const std::optional<std::string> scores = config_.text({"scoring_func"});
  if (!scores) return;
  if (*scores != "softmax" && *scores != "sigmoid") {
    fail(ErrorCode::kUnsupported, "{}: 'scoring_func' is '{}'; supported: softmax, sigmoid",
         config_.path(), printable(*scores));
  }
  set_int("expert_gating_func", *scores == "softmax" ? 1 : 2);
}

// DeepSeek states groups of experts whether they matter or not.
void ConfigReader::read_expert_choice() {
  const std::optional<std::string> method = config_.text({"topk_method"});
  if (!method || *method == "group_limited_greedy") return;
  if (*method != "greedy") {
    fail(ErrorCode::kUnsupported,
         "{}: 'topk_method' is '{}'; supported: greedy, group_limited_greedy", config_.path(),
         printable(*method));
  }
  set_int("expert_group_count", 1);
  set_int("expert_group_used_count", 1);
}

// As GGUF states it: one KV head of latent and RoPE part; *_mla are the sizes of a head unfolded.
void ConfigReader::read_latent_attention() {
  const auto latent = config_.integer({"kv_lora_rank"}, 1, kMaxHeads);
  if (!latent) return;
  const std::int64_t turned = config_.require_integer({"qk_rope_head_dim"}, 1, kMaxHeads);
  const std::int64_t plain = config_.require_integer({"qk_nope_head_dim"}, 1, kMaxHeads);
  set_int("attention.kv_lora_rank", *latent);
  copy_int("attention.q_lora_rank", {"q_lora_rank"}, 1, kMaxWidth);
  set_int("attention.head_count_kv", 1);
  set_int("attention.key_length", *latent + turned);
  set_int("attention.value_length", *latent);
  set_int("attention.key_length_mla", plain + turned);
  set_int("attention.value_length_mla", config_.require_integer({"v_head_dim"}, 1, kMaxHeads));
}

// For runs without the folder's tokenizer, which knows better.
void ConfigReader::read_end_id() {
  const Json* ids = config_.find({"eos_token_id"});
  if (ids != nullptr && ids->is_array() && !ids->empty()) ids = &ids->front();
  if (ids == nullptr || !ids->is_number_integer()) return;
  table_.metadata["tokenizer.ggml.eos_token_id"] = ids->get<std::int64_t>();
}

void ConfigReader::read() {
  table_.metadata["general.architecture"] = std::string(family_.architecture);
  refuse_other_settings();
  read_sizes();
  read_heads();
  read_window();
  read_rope();
  read_experts();
  read_latent_attention();
  read_end_id();
}

}  // namespace

bool is_tied(const Json& config, const HfFamily& family) {
  const auto found = config.find("tie_word_embeddings");
  return found != config.end() && found->is_boolean() ? found->get<bool>() : family.tied;
}

void read_hf_config(const Json& config, const std::string& path, const HfFamily& family,
                    TensorTable& table) {
  const JsonReader reader(config, path);
  ConfigReader(reader, family, table).read();
}

}  // namespace windlass

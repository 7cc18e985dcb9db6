// config.json of every golden model, in both forms, against the metadata of its GGUF; settings that
// cannot be computed are refused by name.
#include "src/model/hf_config.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/base/error.h"
#include "src/format/gguf.h"
#include "src/format/json_events.h"
#include "src/format/posix_file.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

const std::string kModels = WINDLASS_SOURCE_DIR "/tests/golden/models/";

nlohmann::json golden_config(const std::string& model, const std::string& file = "config.json") {
  return parse_json(testing::read_file(kModels + model + "/" + file), file);
}

TensorTable table_from(const nlohmann::json& config) {
  TensorTable table;
  const HfFamily& family = find_hf_family(config.value("model_type", ""), "config.json");
  read_hf_config(config, "config.json", family, table);
  return table;
}

std::string error_of(const nlohmann::json& config, ErrorCode code) {
  try {
    table_from(config);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "no error";
}

std::vector<std::string> golden_models() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kModels)) {
    if (std::filesystem::exists(entry.path() / "config.json")) {
      names.push_back(entry.path().filename());
    }
  }
  REQUIRE(names.size() == 20);
  return names;
}

double number_of(const MetadataValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* number = std::get_if<std::int64_t>(&value)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return static_cast<double>(*number);
  return std::nan("");
}

// What a GGUF says of its architecture, config.json says too (GGUF's floats have 24 bits).
void check_against_gguf(const TensorTable& gguf, const TensorTable& table) {
  const std::string& architecture = *gguf.find_string("general.architecture");
  CHECK(*table.find_string("general.architecture") == architecture);
  for (const auto& [key, value] : gguf.metadata) {
    const bool of_model = key.starts_with(architecture + ".");
    if (!of_model || key.ends_with(".tensor_data_layout")) continue;
    INFO(key);
    const auto found = table.metadata.find(key);
    // A window of 0 is none.
    if (found == table.metadata.end() && number_of(value) == 0) continue;
    REQUIRE(found != table.metadata.end());
    if (std::holds_alternative<std::string>(value) || std::holds_alternative<bool>(value)) {
      CHECK(value == found->second);
    } else {
      CHECK(number_of(found->second) == Approx(number_of(value)).epsilon(1e-6));
    }
  }
}

}  // namespace

TEST_CASE("config.json states what the GGUF of the same model states") {
  int compared = 0;
  for (const std::string& model : golden_models()) {
    const std::string gguf = kModels + model + "/model.gguf";
    if (!std::filesystem::exists(gguf)) continue;
    INFO(model);
    check_against_gguf(read_gguf(gguf), table_from(golden_config(model)));
    ++compared;
  }
  CHECK(compared >= 2);
}

TEST_CASE("the form of config.json that transformers 5 writes states the same") {
  for (const std::string& model : golden_models()) {
    INFO(model);
    const TensorTable old_form = table_from(golden_config(model));
    TensorTable new_form = table_from(golden_config(model, "config_v5.json"));
    // Only the new form says which layers are windowed; what it says is what the family is built
    // by.
    const std::string pattern =
        *old_form.find_string("general.architecture") + ".attention.sliding_window_pattern";
    if (model == "gemma2") CHECK(new_form.find_int(pattern, 1, 100) == 2);
    if (model == "gemma3") CHECK(new_form.find_int(pattern, 1, 100) == 6);
    if (!old_form.metadata.contains(pattern)) new_form.metadata.erase(pattern);
    CHECK(old_form.metadata == new_form.metadata);
    CHECK(old_form.vectors == new_form.vectors);
  }
}

TEST_CASE("llama-3's RoPE becomes the factors that GGUF has as a tensor") {
  const TensorTable table = table_from(golden_config("llama3_rope"));
  const std::vector<float>& factors = table.vectors.at("rope_freqs.weight");
  const std::string path = kModels + "llama3_rope/model.gguf";
  const TensorTable gguf = read_gguf(path);
  const TensorInfo& tensor = gguf.at(gguf.find("rope_freqs.weight"));
  std::vector<float> expected(static_cast<std::size_t>(tensor.n_cols()));
  PosixFile(path).read_at(tensor.extent.offset_bytes, std::as_writable_bytes(std::span(expected)));
  REQUIRE(factors.size() == expected.size());
  for (std::size_t i = 0; i < factors.size(); ++i) {
    INFO(i);
    CHECK(factors[i] == Approx(expected[i]).epsilon(1e-6));
  }
}

TEST_CASE("a null takes a default away, an absent key keeps it") {
  nlohmann::json config = golden_config("gemma2");
  config["attn_logit_softcapping"] = nullptr;
  config["sliding_window"] = nullptr;
  config.erase("final_logit_softcapping");
  const TensorTable table = table_from(config);
  CHECK(table.find_float("gemma2.attn_logit_softcapping") == 0.0);
  CHECK(table.find_int("gemma2.attention.sliding_window", 0, 10) == 0);
  CHECK_FALSE(table.find_float("gemma2.final_logit_softcapping").has_value());
}

TEST_CASE("YaRN's attention factor is stated without the part that the metadata imply") {
  nlohmann::json config = golden_config("llama");
  config["rope_scaling"] = {{"rope_type", "yarn"},
                            {"factor", 4.0},
                            {"attention_factor", 1.5},
                            {"original_max_position_embeddings", 512}};
  const TensorTable table = table_from(config);
  CHECK(*table.find_string("llama.rope.scaling.type") == "yarn");
  CHECK(*table.find_float("llama.rope.scaling.yarn_attn_factor") * (1 + 0.1 * std::log(4.0)) ==
        Approx(1.5));
  CHECK(table.find_int("llama.rope.scaling.original_context_length", 1, 1000) == 512);
}

TEST_CASE("DeepSeek's temperature is stated as GGUF has it, a tenth of mscale_all_dim") {
  nlohmann::json config = golden_config("deepseek2");
  config["rope_scaling"] = {{"type", "yarn"},
                            {"factor", 40},
                            {"mscale", 0.707},
                            {"mscale_all_dim", 0.707},
                            {"original_max_position_embeddings", 512}};
  const TensorTable table = table_from(config);
  CHECK(*table.find_float("deepseek2.rope.scaling.yarn_log_multiplier") == Approx(0.0707));
  config["rope_scaling"]["mscale"] = 1.0;
  CHECK_THAT(error_of(config, ErrorCode::kUnsupported), Contains("'mscale'"));
}

TEST_CASE("groups of experts count where the method of choosing says so") {
  nlohmann::json config = golden_config("deepseek2");
  config["n_group"] = 4;
  config["topk_group"] = 2;
  CHECK(table_from(config).find_int("deepseek2.expert_group_count", 0, 9) == 1);
  CHECK(table_from(config).find_int("deepseek2.expert_group_used_count", 0, 9) == 1);
  config["topk_method"] = "group_limited_greedy";
  CHECK(table_from(config).find_int("deepseek2.expert_group_count", 0, 9) == 4);
  CHECK(table_from(config).find_int("deepseek2.expert_group_used_count", 0, 9) == 2);
  config["topk_method"] = "noaux_tc";
  CHECK_THAT(error_of(config, ErrorCode::kUnsupported),
             Contains("'topk_method' is 'noaux_tc'; supported: greedy, group_limited_greedy"));
}

TEST_CASE("shares are normalised where config.json says so, whatever the family's files mean") {
  nlohmann::json config = golden_config("qwen3moe");
  CHECK(table_from(config).find_bool("qwen3moe.expert_weights_norm") == true);
  config.erase("norm_topk_prob");  // transformers' default
  CHECK(table_from(config).find_bool("qwen3moe.expert_weights_norm") == false);
  CHECK_FALSE(table_from(golden_config("mixtral")).find_bool("llama.expert_weights_norm"));
}

TEST_CASE("a setting that is not computed is refused with what is supported") {
  nlohmann::json llama = golden_config("llama");
  const auto with = [](nlohmann::json config, const char* key, const nlohmann::json& value) {
    config[key] = value;
    return error_of(config, ErrorCode::kUnsupported);
  };
  CHECK_THAT(with(llama, "hidden_act", "gelu"),
             Contains("config.json: 'hidden_act' is \"gelu\"; supported for llama: \"silu\""));
  CHECK_THAT(with(llama, "rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}),
             Contains("RoPE type 'dynamic' is not supported; supported: default, linear, llama3"));
  CHECK_THAT(with(llama, "quantization_config", {{"quant_method", "awq"}}),
             Contains("'quantization_config': {\"quant_method\":\"awq\"}"));
  CHECK_THAT(with(llama, "model_type", "lama"), Contains("the nearest is llama"));
  CHECK_THAT(with(golden_config("falcon"), "alibi", true), Contains("'alibi' is true"));
  CHECK_THAT(with(golden_config("opt"), "do_layer_norm_before", false),
             Contains("'do_layer_norm_before' is false"));
  CHECK_THAT(with(golden_config("deepseek2"), "scoring_func", "tanh"),
             Contains("'scoring_func' is 'tanh'; supported: softmax, sigmoid"));
  const nlohmann::json types = {"full_attention", "sliding_attention", "full_attention"};
  nlohmann::json mistral = llama;
  mistral["model_type"] = "mistral";
  CHECK_THAT(with(mistral, "layer_types", types), Contains("'sliding_attention' in layer 1"));
}

TEST_CASE("a missing, mistyped or impossible value is named with its file") {
  const nlohmann::json llama = golden_config("llama");
  for (const char* key :
       {"hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"}) {
    nlohmann::json config = llama;
    config.erase(key);
    CHECK_THAT(error_of(config, ErrorCode::kBadFile),
               Contains(fmt::format("config.json: '{}' is missing", key)));
    for (const nlohmann::json& bad : {nlohmann::json(0), nlohmann::json(-3), nlohmann::json(1.5),
                                      nlohmann::json("64"), nlohmann::json(1ULL << 63)}) {
      config[key] = bad;
      CHECK_THAT(
          error_of(config, ErrorCode::kBadFile),
          Contains(fmt::format("config.json: '{}' is {}, not an integer from 1", key, bad.dump())));
    }
  }
  nlohmann::json config = llama;
  config["rope_theta"] = -1;
  CHECK_THAT(error_of(config, ErrorCode::kBadFile), Contains("'rope_theta' is -1.0, not above 0"));
  config = golden_config("phi3_longrope_long");
  config["rope_scaling"]["long_factor"] = {1.0, 2.0};
  CHECK_THAT(error_of(config, ErrorCode::kBadFile),
             Contains("'long_factor' has 2 numbers, but RoPE turns 6 pairs"));
  config = golden_config("gemma3", "config_v5.json");
  config["layer_types"].erase(0);
  CHECK_THAT(error_of(config, ErrorCode::kBadFile),
             Contains("'layer_types' has 6 entries for 7 layers"));
}

}  // namespace windlass

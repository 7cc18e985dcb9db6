// Hugging Face folders as tensor tables: names, shards, templates; and what is missing, doubled or
// in contradiction, each named.
#include "src/model/hf_folder.h"

#include <filesystem>
#include <functional>
#include <string>

#include "src/base/error.h"
#include "src/model/layer_graph.h"
#include "src/model/model.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_folder.h"

namespace windlass {
namespace {

using testing::safetensors_bytes;
using testing::TempDir;
using testing::TinyFolder;
using testing::write_file;

std::string folder_of(const TempDir& folder) {
  std::string path = folder.file("");
  path.pop_back();
  return path;
}

// The error of opening a folder and building its graph.
std::string error_of(const TempDir& folder) {
  try {
    const Model model = open_model(folder_of(folder));
    build_layer_graph(model.spec, model.tensors, Activations::kExact);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string error_of(const TinyFolder& model) {
  const TempDir folder;
  model.write(folder);
  return error_of(folder);
}

std::string error_with(const char* key, const nlohmann::json& value) {
  TinyFolder model;
  model.config[key] = value;
  return error_of(model);
}

}  // namespace

TEST_CASE("a Hugging Face folder opens as the model that it is") {
  const TempDir folder;
  TinyFolder(DType::kBF16).write(folder);
  const Model model = open_model(folder_of(folder));
  CHECK(model.spec.architecture == "llama");
  CHECK(model.spec.name == std::filesystem::path(folder_of(folder)).filename());
  CHECK(model.spec.n_kv_heads == 1);
  CHECK_FALSE(model.spec.rope.interleaved);
  CHECK(model.tensors.tensors.size() == 12);
  CHECK(model.tensors.path() == folder_of(folder));
  const TensorId q = model.tensors.find("blk.0.attn_q.weight");
  REQUIRE(q != kNoTensor);
  CHECK(model.tensors.at(q).stored_name == "model.layers.0.self_attn.q_proj.weight");
  CHECK(model.tensors.at(q).type == DType::kBF16);
  CHECK(error_of(folder) == "no error");
}

TEST_CASE("shards are read in the order of their names, with their tensors in file order") {
  const TempDir folder;
  TinyFolder().write_sharded(folder, 5);
  const TensorTable table = read_hf_folder(folder_of(folder));
  REQUIRE(table.files.size() == 2);
  CHECK(table.files[1].path == folder.file(TinyFolder::kSecond));
  CHECK(index_of(table.at(table.find("token_embd.weight")).extent.file) == 0);
  CHECK(index_of(table.at(table.find("output.weight")).extent.file) == 1);
  CHECK(error_of(folder) == "no error");
}

TEST_CASE("a missing shard is named with the index that wants it") {
  const TempDir folder;
  TinyFolder().write_sharded(folder, 5);
  std::filesystem::remove(folder.file(TinyFolder::kSecond));
  CHECK_THAT(error_of(folder),
             Contains("model.safetensors.index.json: the shard "
                      "'model-00002-of-00002.safetensors' (one of 2) is missing"));
}

TEST_CASE("an index and its shards that contradict each other are refused") {
  const TempDir folder;
  TinyFolder model;
  model.write_sharded(folder, 5);
  SECTION("a tensor that no shard has") {
    write_file(folder.file(TinyFolder::kSecond), safetensors_bytes({}));
    CHECK_THAT(error_of(folder), Contains("is not in 'model-00002-of-00002.safetensors'"));
  }
  SECTION("a tensor in another shard than the index says") {
    nlohmann::json index =
        nlohmann::json::parse(testing::read_file(folder.file(TinyFolder::kIndex)));
    index["weight_map"]["lm_head.weight"] = TinyFolder::kFirst;
    write_file(folder.file(TinyFolder::kIndex), index.dump());
    CHECK_THAT(error_of(folder), Contains("tensor 'lm_head.weight' is in ") &&
                                     Contains("not in 'model-00001-of-00002.safetensors'"));
  }
  SECTION("a tensor in two shards") {
    write_file(folder.file(TinyFolder::kSecond), safetensors_bytes(model.tensors));
    CHECK_THAT(error_of(folder), Contains("tensor 'model.embed_tokens.weight' appears a second "
                                          "time (first in "));
  }
  SECTION("a shard outside the folder") {
    write_file(folder.file(TinyFolder::kIndex), R"({"weight_map": {"a": "../a.safetensors"}})");
    CHECK_THAT(error_of(folder), Contains("'../a.safetensors', which is no safetensors file"));
  }
  SECTION("no map") {
    write_file(folder.file(TinyFolder::kIndex), R"({"metadata": {"total_size": 7}})");
    CHECK_THAT(error_of(folder), Contains("no 'weight_map'"));
  }
}

TEST_CASE("config.json that contradicts the tensors is refused with both named") {
  CHECK_THAT(error_with("vocab_size", 9),
             Contains("'vocab_size' is 9, but tensor 'model.embed_tokens.weight' has 8 rows"));
  CHECK_THAT(error_with("hidden_size", 64),
             Contains("tensor 'model.embed_tokens.weight' has the "
                      "shape [8, 32], but by config.json it is [8, 64]"));
  CHECK_THAT(error_with("intermediate_size", 96),
             Contains("tensor 'model.layers.0.mlp.gate_proj.weight' has the shape [64, 32], but by "
                      "config.json it is [96, 32]"));
  CHECK_THAT(error_with("num_key_value_heads", 2),
             Contains("'model.layers.0.self_attn.k_proj.weight' has the shape [16, 32]"));
  CHECK_THAT(error_with("num_hidden_layers", 2),
             Contains("tensor 'model.layers.1.input_layernorm.weight' is missing"));
  TinyFolder model;
  model.tensors.push_back({"model.layers.1.input_layernorm.weight", DType::kF32, {32}});
  CHECK_THAT(error_of(model), Contains("config.json: gives 1 layers, but there is a tensor "
                                       "'model.layers.1.input_layernorm.weight'"));
}

TEST_CASE("missing, superfluous and unsupported tensors of a folder are named as they are stored") {
  TinyFolder model;
  SECTION("missing") {
    model.remove("model.layers.0.mlp.up_proj.weight");
    CHECK_THAT(error_of(model), Contains("tensor 'model.layers.0.mlp.up_proj.weight' is missing"));
  }
  SECTION("of another family") {
    model.tensors.push_back({"model.layers.0.conv.weight", DType::kF32, {32}});
    CHECK_THAT(error_of(model), Contains("model.safetensors: tensor 'model.layers.0.conv.weight' "
                                         "has no place in a model of type 'llama'"));
  }
  SECTION("a norm that llama has not") {
    model.tensors.push_back({"model.layers.0.self_attn.q_norm.weight", DType::kF32, {16}});
    CHECK_THAT(error_of(model),
               Contains("tensor 'model.layers.0.self_attn.q_norm.weight' has no place in a llama"));
  }
  SECTION("of a type that no kernel has") {
    model.tensor("model.norm.weight").type = DType::kI32;
    CHECK_THAT(error_of(model), Contains("tensor 'model.norm.weight' has the type I32; supported: "
                                         "F32, F16, BF16"));
  }
}

TEST_CASE("the output matrix is the embedding where config.json says so") {
  TinyFolder model;
  model.remove("lm_head.weight");
  CHECK_THAT(error_of(model), Contains("'tie_word_embeddings'") && Contains("'lm_head.weight'"));
  model.config["tie_word_embeddings"] = true;
  CHECK(error_of(model) == "no error");
  // A copy of the embedding that a file holds all the same is left alone.
  model.tensors.push_back({"lm_head.weight", DType::kF32, {8, 32}});
  const TempDir folder;
  model.write(folder);
  CHECK(read_hf_folder(folder_of(folder)).find("output.weight") == kNoTensor);
}

TEST_CASE("tensors that follow from the settings are passed over") {
  TinyFolder model;
  model.tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", DType::kF32, {8}});
  CHECK(error_of(model) == "no error");
}

TEST_CASE("the chat template comes from its own file, or from tokenizer_config.json") {
  const TempDir folder;
  TinyFolder().write(folder);
  const auto chat_template = [&]() -> std::string {
    const TensorTable table = read_hf_folder(folder_of(folder));
    const std::string* found = table.find_string("tokenizer.chat_template");
    return found == nullptr ? "none" : *found;
  };
  CHECK(chat_template() == "none");
  const auto write_config = [&](const nlohmann::json& value) {
    write_file(folder.file("tokenizer_config.json"),
               nlohmann::json{{"chat_template", value}}.dump());
  };
  write_config("{{ one }}");
  CHECK(chat_template() == "{{ one }}");
  write_config({{{"name", "tool_use"}, {"template", "{{ tools }}"}},
                {{"name", "default"}, {"template", "{{ two }}"}}});
  CHECK(chat_template() == "{{ two }}");
  write_config(nullptr);
  CHECK(chat_template() == "none");
  write_file(folder.file("chat_template.jinja"), "{{ three }}\n");
  CHECK(chat_template() == "{{ three }}\n");
}

TEST_CASE("the template for tools comes from the list, or from its own file") {
  const TempDir folder;
  TinyFolder().write(folder);
  const auto templates = [&] {
    const TensorTable table = read_hf_folder(folder_of(folder));
    const std::string* plain = table.find_string("tokenizer.chat_template");
    const std::string* tools = table.find_string("tokenizer.chat_template.tool_use");
    return (plain == nullptr ? "none" : *plain) + "/" + (tools == nullptr ? "none" : *tools);
  };
  const nlohmann::json list = {{{"name", "tool_use"}, {"template", "T"}},
                               {{"name", "default"}, {"template", "D"}}};
  write_file(folder.file("tokenizer_config.json"), nlohmann::json{{"chat_template", list}}.dump());
  CHECK(templates() == "D/T");
  std::filesystem::create_directory(folder.file("additional_chat_templates"));
  write_file(folder.file("additional_chat_templates/tool_use.jinja"), "F");
  CHECK(templates() == "none/F");
  write_file(folder.file("chat_template.jinja"), "P");
  CHECK(templates() == "P/F");
}

TEST_CASE("'attention_bias' and the tensors that contradict it are named") {
  TinyFolder model;
  CHECK(error_of(model) == "no error");
  model.config["attention_bias"] = true;
  CHECK(
      error_of(model).ends_with("'attention_bias' is true, but tensor "
                                "'model.layers.0.self_attn.q_proj.bias' is missing"));
  model.config.erase("attention_bias");
  model.tensors.push_back({"model.layers.0.self_attn.k_proj.bias", DType::kF32, {16}});
  CHECK(
      error_of(model).ends_with("'attention_bias' is false, but tensor "
                                "'model.layers.0.self_attn.k_proj.bias' is there"));
}

TEST_CASE("settings that config.json leaves out are those of transformers") {
  const auto read = [](TinyFolder model) {
    const TempDir folder;
    model.config.erase("rms_norm_eps");
    model.write(folder);
    return read_hf_folder(folder_of(folder));
  };
  TinyFolder model;
  model.config["sliding_window"] = 16;
  const TensorTable llama = read(model);
  CHECK(llama.find_float("llama.attention.layer_norm_rms_epsilon") == 1e-6);
  CHECK(!llama.find_int("llama.attention.sliding_window", 0, 1 << 20));
  model.config["model_type"] = "mistral";
  CHECK(read(model).find_int("llama.attention.sliding_window", 0, 1 << 20) == 16);
  model.config.erase("sliding_window");
  CHECK(read(model).find_int("llama.attention.sliding_window", 0, 1 << 20) == 4096);
  model.config["model_type"] = "gemma3_text";
  CHECK(read(model).find_int("gemma3.attention.sliding_window", 0, 1 << 20) == 4096);
}

TEST_CASE("a folder whose windows begin at some layer is refused by its own settings") {
  const TempDir folder;
  TinyFolder model;
  model.config["model_type"] = "qwen2";
  model.config["sliding_window"] = 16;
  model.write(folder);
  CHECK(read_hf_folder(folder_of(folder)).find_int("qwen2.attention.sliding_window", 0, 99) == 0);
  model.config["use_sliding_window"] = true;
  model.config["max_window_layers"] = 0;
  model.write(folder);
  CHECK_THROWS_WITH(read_hf_folder(folder_of(folder)),
                    Contains("config.json: 'use_sliding_window' is true") &&
                        Contains("supported for qwen2: false"));
}

TEST_CASE("a folder or file that is no model says what a model is") {
  const TempDir folder;
  CHECK_THAT(error_of(folder), Contains("is a folder without config.json"));
  write_file(folder.file("config.json"), TinyFolder().config.dump());
  CHECK_THAT(error_of(folder), Contains("model.safetensors: cannot open"));
  write_file(folder.file("config.json"), "{\"a\": 1, \"a\": 2}");
  CHECK_THAT(error_of(folder), Contains("config.json: the key 'a' appears a second time"));
  write_file(folder.file("config.json"), "[]");
  CHECK_THAT(error_of(folder), Contains("config.json: is not a JSON object"));
  write_file(folder.file("config.json"), "{\"hidden_size\": 3}");
  CHECK_THAT(error_of(folder), Contains("config.json: 'model_type' is missing"));
  write_file(folder.file("config.json"), std::string(2 << 20, ' '));
  CHECK_THAT(error_of(folder), Contains("more than the 1048576 B that such a file may have"));
  try {
    read_tensor_table(folder.file("model.safetensors"));
    FAIL("a safetensors file opened as a model");
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Contains("give the folder"));
  }
}

}  // namespace windlass

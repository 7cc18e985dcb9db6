// Small Hugging Face folders made on the spot: a llama of 32 channels, to be spoiled by tests.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/tiny_model.h"

namespace windlass::testing {

// The bytes of a safetensors file whose tensors lie one after another; the data are zeros.
inline std::string safetensors_bytes(const std::vector<TinyTensor>& tensors,
                                     std::size_t padding = 0) {
  nlohmann::json header = nlohmann::json::object();
  std::int64_t offset = 0;
  for (const TinyTensor& tensor : tensors) {
    std::int64_t weights = 1;
    for (const std::int64_t dim : tensor.shape) weights *= dim;
    const std::int64_t end = offset + weights * dtype_info(tensor.type).block_bytes;
    header[tensor.name] = {{"dtype", dtype_info(tensor.type).name},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, end}}};
    offset = end;
  }
  const std::string text = header.dump() + std::string(padding, ' ');
  const std::uint64_t size = text.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + text +
         std::string(static_cast<std::size_t>(offset), '\0');
}

struct TinyFolder {
  explicit TinyFolder(DType type = DType::kF32) {
    tensors.push_back({"model.embed_tokens.weight", type, {8, 32}});
    const std::string p = "model.layers.0.";
    tensors.push_back({p + "input_layernorm.weight", type, {32}});
    tensors.push_back({p + "self_attn.q_proj.weight", type, {32, 32}});
    tensors.push_back({p + "self_attn.k_proj.weight", type, {16, 32}});
    tensors.push_back({p + "self_attn.v_proj.weight", type, {16, 32}});
    tensors.push_back({p + "self_attn.o_proj.weight", type, {32, 32}});
    tensors.push_back({p + "post_attention_layernorm.weight", type, {32}});
    tensors.push_back({p + "mlp.gate_proj.weight", type, {64, 32}});
    tensors.push_back({p + "mlp.up_proj.weight", type, {64, 32}});
    tensors.push_back({p + "mlp.down_proj.weight", type, {32, 64}});
    tensors.push_back({"model.norm.weight", type, {32}});
    tensors.push_back({"lm_head.weight", type, {8, 32}});
  }

  TinyTensor& tensor(const std::string& name) {
    for (TinyTensor& candidate : tensors) {
      if (candidate.name == name) return candidate;
    }
    WINDLASS_CHECK(false, name);
    return tensors.front();
  }
  void remove(const std::string& name) {
    std::erase_if(tensors, [&](const TinyTensor& t) { return t.name == name; });
  }

  // config.json and model.safetensors.
  void write(const TempDir& folder) const {
    write_file(folder.file("config.json"), config.dump());
    write_file(folder.file("model.safetensors"), safetensors_bytes(tensors));
  }
  // config.json, an index, and two shards: the first `in_first` tensors, and the others.
  void write_sharded(const TempDir& folder, std::size_t in_first) const {
    const std::vector<TinyTensor> first(tensors.begin(),
                                        tensors.begin() + std::ptrdiff_t(in_first));
    const std::vector<TinyTensor> second(tensors.begin() + std::ptrdiff_t(in_first), tensors.end());
    nlohmann::json map;
    for (const TinyTensor& tensor : first) map[tensor.name] = kFirst;
    for (const TinyTensor& tensor : second) map[tensor.name] = kSecond;
    write_file(folder.file("config.json"), config.dump());
    write_file(folder.file(kFirst), safetensors_bytes(first));
    write_file(folder.file(kSecond), safetensors_bytes(second));
    write_file(folder.file(kIndex), nlohmann::json{{"weight_map", map}}.dump());
  }

  static constexpr const char* kFirst = "model-00001-of-00002.safetensors";
  static constexpr const char* kSecond = "model-00002-of-00002.safetensors";
  static constexpr const char* kIndex = "model.safetensors.index.json";

  std::vector<TinyTensor> tensors;
  nlohmann::json config = {{"model_type", "llama"},
                           {"hidden_size", 32},
                           {"num_hidden_layers", 1},
                           {"intermediate_size", 64},
                           {"num_attention_heads", 2},
                           {"num_key_value_heads", 1},
                           {"vocab_size", 8},
                           {"rms_norm_eps", 1e-5},
                           {"max_position_embeddings", 128},
                           {"tie_word_embeddings", false}};
};

}  // namespace windlass::testing

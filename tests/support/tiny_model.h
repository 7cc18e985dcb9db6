// Small model files made on the spot, for tests of everything that starts from a GGUF.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "src/base/check.h"
#include "src/format/gguf.h"

namespace windlass::testing {

// A fresh empty folder, removed with everything in it.
class TempDir {
 public:
  TempDir() {
    std::string pattern = std::filesystem::temp_directory_path() / "windlass-test-XXXXXX";
    WINDLASS_CHECK(::mkdtemp(pattern.data()) != nullptr, pattern);
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

struct TinyTensor {
  std::string name;
  DType type;
  std::vector<std::int64_t> shape;  // slowest first
};

// A llama of 32 channels, 2 query heads on 1 KV head, 8 tokens. Change its members to make
// variants.
struct TinyLlama {
  explicit TinyLlama(DType type = DType::kQ4_0, int n_layers = 1) : layers(n_layers) {
    tensors.push_back({"token_embd.weight", type, {8, 32}});
    for (int i = 0; i < n_layers; ++i) {
      const std::string p = fmt::format("blk.{}.", i);
      tensors.push_back({p + "attn_norm.weight", DType::kF32, {32}});
      tensors.push_back({p + "attn_q.weight", type, {32, 32}});
      tensors.push_back({p + "attn_k.weight", type, {16, 32}});
      tensors.push_back({p + "attn_v.weight", type, {16, 32}});
      tensors.push_back({p + "attn_output.weight", type, {32, 32}});
      tensors.push_back({p + "ffn_norm.weight", DType::kF32, {32}});
      tensors.push_back({p + "ffn_gate.weight", type, {64, 32}});
      tensors.push_back({p + "ffn_up.weight", type, {64, 32}});
      tensors.push_back({p + "ffn_down.weight", type, {32, 64}});
    }
    tensors.push_back({"output_norm.weight", DType::kF32, {32}});
    tensors.push_back({"output.weight", type, {8, 32}});
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

  int layers;
  std::vector<TinyTensor> tensors;
  std::map<std::string, std::uint32_t> integers = {
      {"llama.block_count", 0},          {"llama.embedding_length", 32},
      {"llama.feed_forward_length", 64}, {"llama.context_length", 128},
      {"llama.attention.head_count", 2}, {"llama.attention.head_count_kv", 1}};
  std::map<std::string, float> floats = {{"llama.attention.layer_norm_rms_epsilon", 1e-5F}};
  std::map<std::string, std::string> strings = {{"general.architecture", "llama"}};
  std::map<std::string, std::vector<std::int32_t>> int_arrays;
};

// A TinyLlama whose feed-forward part is a mixture of 4 experts, 2 of them used.
struct TinyMixture : TinyLlama {
  explicit TinyMixture(DType type = DType::kQ4_0) : TinyLlama(type) {
    for (const char* part : {"gate", "up", "down"}) {
      TinyTensor& dense = tensor(fmt::format("blk.0.ffn_{}.weight", part));
      dense.name = fmt::format("blk.0.ffn_{}_exps.weight", part);
      dense.shape.insert(dense.shape.begin(), 4);
    }
    tensors.push_back({"blk.0.ffn_gate_inp.weight", DType::kF32, {4, 32}});
    integers["llama.expert_count"] = 4;
    integers["llama.expert_used_count"] = 2;
  }
  // As files of 2023 have them: a tensor for each expert.
  void split_experts() {
    for (const char* part : {"gate", "up", "down"}) {
      const TinyTensor all = tensor(fmt::format("blk.0.ffn_{}_exps.weight", part));
      remove(all.name);
      for (int e = 0; e < 4; ++e) {
        tensors.push_back({fmt::format("blk.0.ffn_{}.{}.weight", part, e),
                           all.type,
                           {all.shape[1], all.shape[2]}});
      }
    }
  }
};

// Writes the header; the data is a hole (zeros).
inline void write_model(const TinyLlama& model, const std::string& path) {
  GgufWriter writer(path);
  for (const auto& [key, value] : model.strings) writer.add_metadata(key, value);
  for (const auto& [key, value] : model.integers) {
    const bool layers = key == "llama.block_count" && value == 0;
    writer.add_metadata_u32(key, layers ? static_cast<std::uint32_t>(model.layers) : value);
  }
  for (const auto& [key, value] : model.floats) writer.add_metadata_f32(key, value);
  for (const auto& [key, value] : model.int_arrays) writer.add_int_array(key, value);
  for (const TinyTensor& tensor : model.tensors) {
    writer.add_tensor(tensor.name, tensor.type, tensor.shape);
  }
  writer.begin_data();
  writer.skip_data();
  writer.finish();
}

inline TensorTable table_of(const TinyLlama& model) {
  const TempDir folder;
  write_model(model, folder.file("model.gguf"));
  return read_gguf(folder.file("model.gguf"));
}

}  // namespace windlass::testing

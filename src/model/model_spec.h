// What a model is, in numbers: the hyperparameters that the layer graph and the KV store need. No weights.
#pragma once

#include <cstdint>
#include <string>

#include "src/format/tensor_table.h"

namespace windlass {

enum class RopeScaling { kNone, kLinear, kYarn };

struct RopeSpec {
  std::int64_t dims = 0;           // rotated dimensions of a head, even, <= head_dim
  double base = 10000.0;
  bool interleaved = true;         // pairs (2i, 2i+1), as GGUF's llama; else (i, i + dims/2)
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;             // linear and yarn
  std::int64_t original_context = 0;
  // yarn; attention_factor as the file gives it: YaRN's own 1 + 0.1 ln(factor) is not folded in
  double beta_fast = 32.0, beta_slow = 1.0, attention_factor = 1.0, extrapolation_factor = 1.0;
  TensorId frequency_factors = kNoTensor;  // llama-3: rope_freqs.weight [dims/2] divides each frequency
};

struct ModelSpec {
  std::string architecture;        // "llama"
  std::string name;                // general.name, for people
  std::int64_t n_layers = 0, d_model = 0, d_ffn = 0;
  std::int64_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
  std::int64_t n_vocab = 0;
  std::int64_t context_length = 0; // as trained
  float norm_epsilon = 1e-5F;
  RopeSpec rope;
  std::int64_t q_dim() const { return n_heads * head_dim; }
  std::int64_t kv_dim() const { return n_kv_heads * head_dim; }
};

// Reads and checks the metadata against the tensor shapes.
// Errors: Error(kUnsupported) for an unknown architecture (names the supported ones), RoPE scaling or weight type;
// Error(kBadFile) for a missing or impossible value or a tensor whose shape contradicts it.
ModelSpec read_model_spec(const TensorTable& table);

}  // namespace windlass

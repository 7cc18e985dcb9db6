// What a model is, in numbers: the hyperparameters that the layer graph and the KV store need. No weights.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/format/tensor_table.h"
#include "src/model/architectures.h"

namespace windlass {

enum class RopeScaling { kNone, kLinear, kYarn, kLongRope };

// Divisors of RoPE's frequencies, [dims/2]: in a tensor, or as numbers of the configuration.
struct RopeFactors {
  TensorId tensor = kNoTensor;
  std::vector<float> values;
  bool empty() const { return tensor == kNoTensor && values.empty(); }
};

struct RopeSpec {
  std::int64_t dims = 0;           // rotated dimensions of a head, even, <= head_dim; 0: no RoPE
  double base = 10000.0;
  bool interleaved = true;         // pairs (2i, 2i+1), as GGUF's llama; else (i, i + dims/2)
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;             // linear and yarn
  std::int64_t original_context = 0;
  // yarn: as the file gives it, YaRN's own 1 + 0.1 ln(factor) is not folded in; longrope: of every cosine and sine
  double attention_factor = 1.0;
  double beta_fast = 32.0, beta_slow = 1.0, extrapolation_factor = 1.0;  // yarn
  RopeFactors factors;             // llama-3's; of longrope those up to the original context
  RopeFactors long_factors;        // longrope's beyond it

  // Those of a session with room for so many tokens. LongRoPE (arXiv 2402.13753) has one list for short and one for long
  // texts; cached keys cannot change it later, so the context's size decides once.
  const RopeFactors& factors_for(std::int64_t context_tokens) const {
    return scaling == RopeScaling::kLongRope && context_tokens > original_context ? long_factors : factors;
  }
};

// A mixture of experts: each row goes through n_used of n_experts feed-forward networks. ChooseExpertsArgs says how they are
// chosen.
struct ExpertSpec {
  std::int64_t n_experts = 0;      // 0: a dense model
  std::int64_t n_used = 0;
  std::int64_t d_ffn = 0;          // of one expert
  std::int64_t d_shared = 0;       // of the network beside them that every row goes through; 0: none
  std::int64_t n_dense_layers = 0; // leading ones, with a plain feed-forward part
  std::int64_t n_groups = 1, n_groups_used = 1;
  ExpertGate gate = ExpertGate::kSoftmax;
  bool normalise = false;
  float scale = 1;
};

// AttentionKind::kLatent: a token's latent vector, and what queries, keys and values of a head would be without it. Queries are
// taken into the latent space instead ("absorbed"), so that there is one KV head, with the latent and the rotated part as its
// key and the latent as its value: the sizes that ModelSpec states.
struct LatentSpec {
  std::int64_t q_rank = 0;         // queries come through so many dimensions; 0: straight from the residual
  std::int64_t kv_rank = 0;        // of the latent
  std::int64_t plain_dim = 0;      // of a query, not rotated
  std::int64_t rotated_dim = 0;
  std::int64_t value_dim = 0;
  std::int64_t query_dim() const { return plain_dim + rotated_dim; }
};

struct ModelSpec {
  const Architecture* arch = nullptr;
  std::string architecture;        // "llama"
  std::string name;                // general.name, for people
  std::int64_t n_layers = 0, d_model = 0, d_ffn = 0;
  std::int64_t n_heads = 0, n_kv_heads = 0;
  std::int64_t head_dim = 0;       // of a query and a key
  std::int64_t value_dim = 0;      // of a value, and of what attention makes of a head
  std::int64_t n_vocab = 0;
  std::int64_t context_length = 0; // as trained
  float norm_epsilon = 1e-5F;
  float norm_weight_offset = 0;    // what the file leaves out of each norm's weights

  ExpertSpec experts;
  std::optional<LatentSpec> latent;

  RopeSpec rope;
  std::optional<RopeSpec> window_rope;  // of windowed layers, where theirs is another
  std::int64_t window_tokens = 0;  // 0: no layer is windowed
  std::int64_t window_period = 0;  // every so many layers the last is not windowed; 0: all are

  float embedding_scale = 1;
  float attention_scale = 0;       // of query-key products
  float attention_soft_cap = 0, logit_soft_cap = 0;  // 0: none

  bool has_experts(std::int64_t layer) const {
    return experts.n_experts > 0 && layer >= experts.n_dense_layers;
  }
  bool windowed(std::int64_t layer) const {
    return window_tokens > 0 && (window_period == 0 || (layer + 1) % window_period != 0);
  }
  std::int64_t q_dim() const { return n_heads * head_dim; }
  std::int64_t k_dim() const { return n_kv_heads * head_dim; }
  std::int64_t v_dim() const { return n_kv_heads * value_dim; }
  std::int64_t attention_dim() const { return n_heads * value_dim; }  // of attention's output
  std::int64_t attention_out_dim() const {  // of what the output projection reads
    return latent ? n_heads * latent->value_dim : attention_dim();
  }
};

// Reads and checks the metadata against the tensor shapes.
// Errors: Error(kUnsupported) for an unknown architecture (names the supported ones and the nearest), RoPE scaling or weight
// type; Error(kBadFile) for a missing or impossible value or a tensor that is missing or whose shape contradicts it.
ModelSpec read_model_spec(const TensorTable& table);

}  // namespace windlass

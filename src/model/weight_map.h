// Which tensor of a file is which weight of the model: the names, shapes and types that an architecture's description calls
// for, found and checked in one place.
#pragma once

#include <vector>

#include "src/format/tensor_table.h"
#include "src/model/model_spec.h"

namespace windlass {

// A matrix or a norm's factors, and what is added afterwards. kNoTensor: the model has none.
struct Affine {
  TensorId weight = kNoTensor, bias = kNoTensor;
  bool present() const { return weight != kNoTensor; }
};

// A matrix of each expert, stacked in one tensor [n_experts, n_out, n_in] or in a tensor for each.
struct ExpertMatrices {
  TensorId weight = kNoTensor;     // that one, or the first
  std::vector<TensorId> each;      // empty: stacked
};

// What latent attention has instead of q, k and v. Of each head h the matrix that takes queries into the latent space and the
// one that makes values of it: stacked as k_b [n_heads, kv_rank, plain_dim] and v_b [n_heads, value_dim, kv_rank]; or as rows of
// kv_b [n_heads, plain_dim + value_dim, kv_rank], the first of them the other way round.
struct LatentWeights {
  Affine q_a, q_a_norm, q_b;       // or q
  Affine kv_a, kv_a_norm;
  TensorId k_b = kNoTensor, v_b = kNoTensor, kv_b = kNoTensor;
};

struct LayerWeights {
  Affine attn_norm, attn_norm_2, q_norm, k_norm, post_attn_norm;
  Affine q, k, v, qkv, attn_output;  // q, k and v, or qkv
  Affine ffn_norm, post_ffn_norm;
  Affine ffn_gate, ffn_up, ffn_down;
  LatentWeights latent;

  Affine router, router_bias;      // the bias is of the choice alone: a vector, in `weight`
  ExpertMatrices expert_gate, expert_up, expert_down;
  Affine shared_gate, shared_up, shared_down;
};

struct WeightMap {
  TensorId embedding = kNoTensor;
  TensorId positions = kNoTensor;  // learned ones
  std::vector<LayerWeights> layers;
  Affine output_norm;
  Affine output;                   // the embedding where a file has no matrix of its own
};

// Errors: Error(kBadFile) for a tensor that is missing or has another shape, Error(kUnsupported) for a type that no kernel
// takes and for a tensor that has no place in the architecture (left out of the sums, it would falsify them in silence).
WeightMap map_weights(const ModelSpec& spec, const TensorTable& table);

}  // namespace windlass

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

struct LayerWeights {
  Affine attn_norm, attn_norm_2, q_norm, k_norm, post_attn_norm;
  Affine q, k, v, qkv, attn_output;  // q, k and v, or qkv
  Affine ffn_norm, post_ffn_norm;
  Affine ffn_gate, ffn_up, ffn_down;
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

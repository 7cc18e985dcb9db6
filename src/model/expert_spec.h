// Reads how a mixture of experts is made: how many, how large, how a row's are chosen.
#pragma once

#include "src/model/metadata.h"
#include "src/model/model_spec.h"

namespace windlass {

// Fills spec.experts. REQUIRES: spec has its architecture and d_ffn.
// Errors as Metadata's; Error(kBadFile) for numbers that contradict each other, Error(kUnsupported)
// for experts in a family that has none here and for a gating function that is not known.
void read_experts(const TensorTable& table, const Metadata& metadata, ModelSpec& spec);

}  // namespace windlass

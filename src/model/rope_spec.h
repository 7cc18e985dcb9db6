// Reads how a model rotates queries and keys: RoPE's base, its scaling and its factors.
#pragma once

#include "src/model/metadata.h"
#include "src/model/model_spec.h"

namespace windlass {

// Fills rope and window_rope, and multiplies attention_scale by what a scaling demands of it. REQUIRES: spec has its
// architecture, head sizes, scales and context length.
// Errors as Metadata's, and Error(kUnsupported) for a scaling that is not known (names those that are).
void read_rope(const TensorTable& table, const Metadata& metadata, ModelSpec& spec);

}  // namespace windlass

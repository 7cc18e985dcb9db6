// The scalar metadata of a Hugging Face model as a GGUF file states them.
#pragma once

#include <vector>

#include "src/format/gguf_header_builder.h"
#include "src/format/tensor_table.h"
#include "src/model/gguf_layout.h"

namespace windlass {

// Adds general.* but for the file's type, the architecture's keys and the chat template, in the
// widths that readers of GGUF ask for: u32, f32. The tokenizer's keys are left to
// add_gguf_vocabulary. REQUIRES: a folder's table; its tensors.
void add_gguf_settings(const TensorTable& table, const std::vector<GgufTensor>& tensors,
                       GgufHeaderBuilder& header);

}  // namespace windlass

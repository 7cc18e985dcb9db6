// config.json of a Hugging Face folder, in both forms that are in use (rope_theta, rope_scaling,
// torch_dtype; and since transformers 5 rope_parameters, layer_types, dtype), as the metadata that
// GGUF has for the same model.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "src/format/tensor_table.h"
#include "src/model/hf_family.h"

namespace windlass {

// Fills table.metadata and table.vectors. `path` names the file in errors.
// Errors: Error(kBadFile) naming file and key for a missing, mistyped or impossible value;
// Error(kUnsupported) for a setting that this program does not compute (another activation, an
// unknown RoPE type, weights quantised by another program), with what is supported.
void read_hf_config(const nlohmann::json& config, const std::string& path, const HfFamily& family,
                    TensorTable& table);

// Whether the output matrix is the embedding matrix.
bool is_tied(const nlohmann::json& config, const HfFamily& family);

}  // namespace windlass

// A Hugging Face folder (config.json, safetensors, the chat template) as the tensor table that a
// GGUF of the same model gives: names, metadata keys and shapes are GGUF's. Its tokenizer is
// src/text/hf_tokenizer.h's business.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "src/format/safetensors.h"
#include "src/format/tensor_table.h"

namespace windlass {

// A folder that holds config.json.
bool is_hf_folder(const std::string& path);

// Reads headers and the small JSON files; no tensor data. Beside what hf_config.h gives, the
// metadata have general.name (the folder's), tokenizer.chat_template and
// tokenizer.chat_template.tool_use.
// Errors: as read_safetensors and read_hf_config; Error(kUnsupported) naming a tensor that the
// model has no place for or whose type is not supported; Error(kBadFile) where config.json and the
// tensors contradict each other, naming both.
TensorTable read_hf_folder(const std::string& folder);

// The part of it that needs no file beside config.json's text and the tensors' headers.
TensorTable make_hf_table(const nlohmann::json& config, const std::string& config_path,
                          SafetensorsModel stored);

}  // namespace windlass

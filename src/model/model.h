// A model file or folder opened by header: what every command starts from.
#pragma once

#include <string>

#include "src/format/tensor_table.h"
#include "src/model/model_spec.h"

namespace windlass {

struct Model {
  std::string path;
  TensorTable tensors;
  ModelSpec spec;
};

// The tensor table of whatever `path` is: a GGUF (of a split one any shard) or a Hugging Face
// folder. Cost: the headers' bytes; no tensor data is read. Errors as read_gguf, read_hf_folder.
TensorTable read_tensor_table(const std::string& path);

// As above, with what the model is. Errors also as read_model_spec.
Model open_model(const std::string& path);

}  // namespace windlass

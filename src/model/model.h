// A model file opened by header: what every command starts from.
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

// Cost: the header's bytes; no tensor data is read. Errors as read_gguf and read_model_spec.
Model open_model(const std::string& path);

}  // namespace windlass

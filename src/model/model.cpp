#include "src/model/model.h"

#include "src/format/gguf.h"

namespace windlass {

Model open_model(const std::string& path) {
  Model model;
  model.path = path;
  model.tensors = read_gguf(path);
  model.spec = read_model_spec(model.tensors);
  return model;
}

}  // namespace windlass

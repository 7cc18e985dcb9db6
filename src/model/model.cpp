#include "src/model/model.h"

#include <filesystem>

#include "src/base/error.h"
#include "src/format/gguf.h"
#include "src/model/hf_folder.h"

namespace windlass {

TensorTable read_tensor_table(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) {
    if (path.ends_with(".safetensors")) {
      fail(ErrorCode::kUsage,
           "{}: holds tensors alone; give the folder that it and its config.json are in", path);
    }
    return read_gguf(path);
  }
  if (!is_hf_folder(path)) {
    fail(ErrorCode::kBadFile,
         "{}: is a folder without config.json; a model is a GGUF file or a Hugging Face folder",
         path);
  }
  // Without a slash at the end: tensor files are named below it.
  return read_hf_folder(path.substr(0, path.find_last_not_of('/') + 1));
}

Model open_model(const std::string& path) {
  Model model;
  model.path = path;
  model.tensors = read_tensor_table(path);
  model.spec = read_model_spec(model.tensors);
  return model;
}

}  // namespace windlass

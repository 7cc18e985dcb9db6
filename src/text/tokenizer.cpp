// Picks the reader for a model.
#include "src/text/tokenizer.h"

#include <filesystem>

#include "src/base/error.h"
#include "src/format/gguf.h"
#include "src/text/gguf_tokenizer.h"
#include "src/text/hf_tokenizer.h"

namespace windlass {
namespace {

namespace fs = std::filesystem;

// The tokenizer.json beside the model's first file; empty where there is none.
std::string json_beside(const TensorTable& table) {
  if (table.files.empty()) return {};
  const fs::path path = fs::path(table.files[0].path).parent_path() / "tokenizer.json";
  std::error_code error;
  return fs::is_regular_file(path, error) ? path.string() : std::string();
}

}  // namespace

bool has_tokenizer(const TensorTable& table) {
  return table.find_string("tokenizer.ggml.model") != nullptr || !json_beside(table).empty();
}

std::unique_ptr<Tokenizer> make_tokenizer(const TensorTable& table) {
  if (table.find_string("tokenizer.ggml.model") == nullptr) {
    if (const std::string path = json_beside(table); !path.empty()) return read_tokenizer(path);
  }
  return std::make_unique<TextTokenizer>(read_gguf_tokenizer(table));
}

std::unique_ptr<Tokenizer> read_tokenizer(const std::string& path) {
  if (fs::is_directory(path) || path.ends_with(".json")) {
    return std::make_unique<TextTokenizer>(read_hf_tokenizer(path));
  }
  return make_tokenizer(read_gguf(path));
}

}  // namespace windlass

// Picks the tokenizer that a model file names.
#include "src/text/tokenizer.h"

#include "src/base/error.h"
#include "src/text/byte_bpe.h"
#include "src/text/pre_tokenizer.h"

namespace windlass {

std::unique_ptr<Tokenizer> make_tokenizer(const TensorTable& table) {
  const std::string* model = table.find_string("tokenizer.ggml.model");
  if (model == nullptr) {
    fail(ErrorCode::kBadFile, "{}: no vocabulary (tokenizer.ggml.model is missing)",
         table.files.empty() ? std::string("the model file") : table.files[0].path);
  }
  if (*model != "gpt2") {
    fail(ErrorCode::kUnsupported,
         "unknown tokenizer '{}' (tokenizer.ggml.model); supported: gpt2 (byte-level BPE)", *model);
  }
  if (table.find_string("tokenizer.ggml.pre") == nullptr) {
    fail(ErrorCode::kUnsupported,
         "the file does not name its pre-tokenizer (tokenizer.ggml.pre); supported: {}",
         PreTokenizer::names());
  }
  return std::make_unique<ByteBpe>(table);
}

}  // namespace windlass

// StreamingDetokenizer: bytes of tokens to whole characters.
#include "src/text/tokenizer.h"
#include "src/text/utf8.h"

namespace windlass {
namespace {

// Moves the whole characters at the front of `bytes` to `text`; what stays is empty or the
// beginning of a character.
void take_characters(std::string& bytes, std::string& text) {
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const Utf8Unit unit = next_utf8(rest);
    if (unit.kind == Utf8Kind::kUnfinished) break;
    text +=
        unit.kind == Utf8Kind::kCharacter ? rest.substr(0, unit.size_bytes) : kReplacementCharacter;
    rest.remove_prefix(unit.size_bytes);
  }
  bytes.erase(0, bytes.size() - rest.size());
}

}  // namespace

std::string StreamingDetokenizer::push(std::int32_t id) {
  if (id < tokenizer_.n_vocab()) pending_ += tokenizer_.token_bytes(id, special_);
  std::string text;
  take_characters(pending_, text);
  return text;
}

std::string StreamingDetokenizer::finish() {
  std::string text(pending_.empty() ? std::string_view() : kReplacementCharacter);
  pending_.clear();
  return text;
}

}  // namespace windlass

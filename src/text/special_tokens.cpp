// Leftmost-longest search among the special tokens, grouped by first byte.
#include "src/text/special_tokens.h"

#include <algorithm>
#include <tuple>

namespace windlass {
namespace {

bool is_special(TokenType type) {
  return type == TokenType::kControl || type == TokenType::kUnknown ||
         type == TokenType::kUserDefined;
}

unsigned first_byte(std::string_view text) { return static_cast<unsigned char>(text.front()); }

}  // namespace

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {
  for (std::int32_t id = 0; id < vocabulary.n_tokens(); ++id) {
    if (is_special(vocabulary.type(id)) && !vocabulary.token(id).empty()) ids_.push_back(id);
  }
  std::sort(ids_.begin(), ids_.end(), [&](std::int32_t a, std::int32_t b) {
    const std::string_view text_a = vocabulary.token(a);
    const std::string_view text_b = vocabulary.token(b);
    return std::tuple(first_byte(text_a), text_b.size(), a) <
           std::tuple(first_byte(text_b), text_a.size(), b);
  });
  for (const std::int32_t id : ids_) ++begin_[first_byte(vocabulary.token(id)) + 1];
  for (std::size_t byte = 0; byte < 256; ++byte) begin_[byte + 1] += begin_[byte];
}

std::optional<SpecialTokens::Match> SpecialTokens::find(std::string_view text, std::size_t from,
                                                        bool control) const {
  for (std::size_t at = from; at < text.size(); ++at) {
    const unsigned byte = static_cast<unsigned char>(text[at]);
    for (std::size_t i = begin_[byte]; i < begin_[byte + 1]; ++i) {
      const std::int32_t id = ids_[i];
      if (!control && vocabulary_.type(id) != TokenType::kUserDefined) continue;
      if (text.substr(at).starts_with(vocabulary_.token(id))) return Match{at, id};
    }
  }
  return std::nullopt;
}

std::optional<std::int32_t> SpecialTokens::id_of(std::string_view text) const {
  for (const std::int32_t id : ids_) {
    if (vocabulary_.token(id) == text) return id;
  }
  return std::nullopt;
}

std::int64_t SpecialTokens::size_bytes() const {
  return static_cast<std::int64_t>(ids_.capacity() * sizeof(ids_[0]));
}

}  // namespace windlass

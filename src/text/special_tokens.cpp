// Leftmost-longest search among the special tokens.
#include "src/text/special_tokens.h"

#include <utf8proc.h>

#include <numeric>

#include "src/text/utf8.h"

namespace windlass {
namespace {

Vocabulary patterns_of(const std::vector<SpecialToken>& tokens) {
  Vocabulary patterns;
  for (const SpecialToken& token : tokens) {
    patterns.bytes().insert(patterns.bytes().end(), token.text.begin(), token.text.end());
    patterns.end_token(token.is_control ? TokenType::kControl : TokenType::kUserDefined);
  }
  patterns.shrink();
  return patterns;
}

std::vector<std::int32_t> places(std::size_t n) {
  std::vector<std::int32_t> places(n);
  std::iota(places.begin(), places.end(), 0);
  return places;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool is_word_character(std::int32_t c) {
  const utf8proc_category_t category = utf8proc_category(c);
  return c == '_' || (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO);
}

// Is [begin, end) apart from letters, digits, marks and underscores?
bool is_whole_word(std::string_view text, std::size_t begin, std::size_t end) {
  if (end < text.size() && is_word_character(next_code_point(text.substr(end)).value)) return false;
  if (begin == 0) return true;
  std::size_t before = begin - 1;
  while (before > 0 && (static_cast<unsigned char>(text[before]) & 0xC0) == 0x80) --before;
  return !is_word_character(next_code_point(text.substr(before)).value);
}

}  // namespace

SpecialTokens::SpecialTokens(const std::vector<SpecialToken>& tokens)
    : patterns_(patterns_of(tokens)), index_(patterns_, places(tokens.size())) {
  ids_.reserve(tokens.size());
  flags_.reserve(tokens.size());
  for (const SpecialToken& token : tokens) {
    ids_.push_back(token.id);
    flags_.push_back({token.takes_left, token.takes_right, token.whole_word});
  }
}

std::int32_t SpecialTokens::longest(std::string_view text, std::size_t at, bool control) const {
  std::int32_t found = -1;
  PrefixIndex::Range range = index_.first(text[at]);
  for (std::size_t n = 1; !range.empty(); ++n) {
    const PrefixIndex::Range exact = index_.exact(range, n);
    for (std::uint32_t i = exact.begin; i < exact.end; ++i) {
      const std::int32_t place = index_.id_at(i);
      if (control || patterns_.type(place) == TokenType::kUserDefined) {
        found = place;
        break;
      }
    }
    if (at + n == text.size()) break;
    range = index_.narrow(range, n, text[at + n]);
  }
  return found;
}

std::optional<SpecialTokens::Match> SpecialTokens::find(std::string_view text, std::size_t from,
                                                        bool control) const {
  for (std::size_t at = from; at < text.size(); ++at) {
    if (index_.first(text[at]).empty()) continue;
    const std::int32_t place = longest(text, at, control);
    if (place < 0) continue;
    const auto i = static_cast<std::size_t>(place);
    Match match{at, at + patterns_.token(place).size(), ids_[i]};
    if (flags_[i].whole_word && !is_whole_word(text, match.begin, match.end)) continue;
    while (flags_[i].takes_left && match.begin > from && is_space(text[match.begin - 1])) {
      --match.begin;
    }
    while (flags_[i].takes_right && match.end < text.size() && is_space(text[match.end])) {
      ++match.end;
    }
    return match;
  }
  return std::nullopt;
}

std::optional<std::int32_t> SpecialTokens::id_of(std::string_view text) const {
  if (text.empty()) return std::nullopt;
  PrefixIndex::Range range = index_.first(text[0]);
  for (std::size_t n = 1; n < text.size() && !range.empty(); ++n) {
    range = index_.narrow(range, n, text[n]);
  }
  const PrefixIndex::Range exact = index_.exact(range, text.size());
  if (exact.empty()) return std::nullopt;
  return ids_[static_cast<std::size_t>(index_.id_at(exact.begin))];
}

std::int64_t SpecialTokens::size_bytes() const {
  return patterns_.size_bytes() + index_.size_bytes() +
         static_cast<std::int64_t>(ids_.capacity() * sizeof(ids_[0]) +
                                   flags_.capacity() * sizeof(flags_[0]));
}

}  // namespace windlass

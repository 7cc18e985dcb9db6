// The forms of tokens.
#include "src/text/token_forms.h"

#include <charconv>

#include "src/text/byte_alphabet.h"

namespace windlass {
namespace {

void append_plain(std::string_view text, std::vector<char>& bytes) {
  bytes.insert(bytes.end(), text.begin(), text.end());
}

void append_bytes(std::string_view text, TokenType type, TokenForm form, std::vector<char>& bytes) {
  const bool is_text = type == TokenType::kNormal || type == TokenType::kUnused;
  const bool has_byte_tokens = form == TokenForm::kSentencePiece || form == TokenForm::kPlain;
  const auto value =
      has_byte_tokens && type == TokenType::kByte ? byte_token_value(text) : std::nullopt;
  if (value) {
    bytes.push_back(static_cast<char>(*value));
  } else if (form == TokenForm::kSentencePiece) {
    if (is_text || type == TokenType::kUserDefined) {
      append_spaced(text, bytes);
    } else {
      append_plain(text, bytes);
    }
  } else if (form == TokenForm::kAlphabet && is_text) {
    // A stray token may be plain text even in such a vocabulary.
    if (!append_alphabet_bytes(text, bytes)) append_plain(text, bytes);
  } else if ((form == TokenForm::kHash || form == TokenForm::kHashAlphabet) && is_text) {
    const bool goes_on = goes_on_word(text);
    if (!goes_on) bytes.push_back(' ');
    const std::string_view rest = text.substr(goes_on ? kGoesOn.size() : 0);
    const bool written = form == TokenForm::kHashAlphabet && append_alphabet_bytes(rest, bytes);
    if (!written) append_plain(rest, bytes);
  } else if (form == TokenForm::kWordStart && is_text && text.starts_with(kSpaceMark)) {
    bytes.push_back(' ');
    append_plain(text.substr(kSpaceMark.size()), bytes);
  } else {
    append_plain(text, bytes);
  }
}

}  // namespace

void append_spaced(std::string_view text, std::vector<char>& bytes) {
  std::size_t done = 0;
  for (std::size_t at = text.find(kSpaceMark); at != std::string_view::npos;
       at = text.find(kSpaceMark, done)) {
    append_plain(text.substr(done, at - done), bytes);
    bytes.push_back(' ');
    done = at + kSpaceMark.size();
  }
  append_plain(text.substr(done), bytes);
}

bool goes_on_word(std::string_view text) {
  return text.starts_with(kGoesOn) && text.size() > kGoesOn.size();
}

std::optional<std::uint8_t> byte_token_value(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text.back() != '>') return std::nullopt;
  std::uint8_t value = 0;
  const char* end = text.data() + 5;
  const auto read = std::from_chars(text.data() + 3, end, value, 16);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return value;
}

void append_token(std::string_view text, TokenType type, TokenForm form, Vocabulary& vocabulary) {
  append_bytes(text, type, form, vocabulary.bytes());
  vocabulary.end_token(type);
}

std::array<std::int32_t, 256> byte_token_ids(const Vocabulary& vocabulary) {
  std::array<std::int32_t, 256> ids{};
  ids.fill(-1);
  for (std::int32_t id = 0; id < vocabulary.n_tokens(); ++id) {
    const std::string_view token = vocabulary.token(id);
    if (vocabulary.type(id) != TokenType::kByte || token.size() != 1) continue;
    std::int32_t& of_byte = ids[static_cast<unsigned char>(token[0])];
    if (of_byte < 0) of_byte = id;
  }
  return ids;
}

std::array<std::int32_t, 256> single_byte_ids(const TokenIndex& index) {
  std::array<std::int32_t, 256> ids{};
  for (std::size_t byte = 0; byte < ids.size(); ++byte) {
    const char character = static_cast<char>(byte);
    ids[byte] = index.find({&character, 1}).value_or(-1);
  }
  return ids;
}

}  // namespace windlass

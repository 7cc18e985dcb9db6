// How tokenizer files write tokens, turned into the bytes that they stand for in text.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "src/text/vocabulary.h"

namespace windlass {

// SentencePiece's space, U+2581.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

// Appends `text` with each U+2581 as a space.
void append_spaced(std::string_view text, std::vector<char>& bytes);
// WordPiece's mark of tokens that go on a word, where BERT's files have one; is this such a token?
inline constexpr std::string_view kGoesOn = "##";
bool goes_on_word(std::string_view text);
// The byte that "<0x00>" to "<0xFF>" names.
std::optional<std::uint8_t> byte_token_value(std::string_view text);

enum class TokenForm {
  kAlphabet,       // byte-level alphabet (GPT-2)
  kSentencePiece,  // U+2581 for a space, "<0xNN>" for a byte (SentencePiece)
  kHash,           // "##" before tokens that go on a word (BERT); those that begin one get a space
  kHashAlphabet,   // both: kHash, and what follows the "##" or the space in the alphabet
  kWordStart,      // U+2581 before tokens that begin a word, nothing before those that go on
  kPlain,          // as it is; "<0xNN>" for a byte
};

// Appends the token's bytes. Only normal ones, and the user-defined and byte tokens of
// kSentencePiece, are written in the form; others as they are.
void append_token(std::string_view text, TokenType type, TokenForm form, Vocabulary& vocabulary);

// The ids of the kByte tokens by value; -1 where there is none.
std::array<std::int32_t, 256> byte_token_ids(const Vocabulary& vocabulary);
// The ids of the tokens that are one byte; -1 where there is none.
std::array<std::int32_t, 256> single_byte_ids(const TokenIndex& index);

}  // namespace windlass

// UTF-8 by the rules of Unicode table 3-7: no overlong forms, no surrogates, nothing above
// U+10FFFF. Whole texts through utf8proc; what may be cut anywhere (streams) by next_utf8, since
// utf8proc does not tell an unfinished character from an invalid one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace windlass {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

enum class Utf8Kind {
  kCharacter,   // a whole character
  kUnfinished,  // all bytes given are the beginning of a character
  kInvalid,     // these bytes can never become a character
};

struct Utf8Unit {
  Utf8Kind kind;
  // kInvalid: the longest beginning of a character that they are, at least 1 (Unicode's "maximal
  // subpart").
  std::size_t size_bytes;
};

// The first unit of `bytes`. REQUIRES: not empty.
Utf8Unit next_utf8(std::string_view bytes);

// The first character of `bytes`, as utf8proc reads it; value -1 and size 1 where none begins.
// REQUIRES: not empty.
struct CodePoint {
  std::int32_t value;
  std::size_t size_bytes;
};
CodePoint next_code_point(std::string_view bytes);

// Appends the character. REQUIRES: a code point that is no surrogate.
void append_utf8(std::int32_t code_point, std::string& text);

// Length of the longest beginning of `bytes` that is whole characters.
std::size_t valid_utf8_bytes(std::string_view bytes);
inline bool is_valid_utf8(std::string_view bytes) {
  return valid_utf8_bytes(bytes) == bytes.size();
}

// A copy in which every byte that belongs to no character is U+FFFD.
std::string repair_utf8(std::string_view bytes);

}  // namespace windlass

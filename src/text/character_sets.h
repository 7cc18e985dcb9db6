// What tokenizers' expressions mean by \s, \w, \d and \h, as the inside of a PCRE2 class.
#pragma once

#include <string_view>

namespace windlass {

// Unicode's White_Space: PCRE2's own \s also takes U+180E, which left that property in Unicode 6.3.
inline constexpr std::string_view kSpaceSet = R"(\x09-\x0D\x{85}\p{Z})";
// Letters, marks, decimal and letter numbers, connectors; the circled and squared letters are
// Alphabetic too.
inline constexpr std::string_view kWordSet =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169})"
    R"(\x{1F170}-\x{1F189})";

// Of 's', 'w', 'd', 'h'; empty for another letter.
constexpr std::string_view shorthand_set(char letter) {
  switch (letter) {
    case 's':
      return kSpaceSet;
    case 'w':
      return kWordSet;
    case 'd':
      return R"(\p{Nd})";
    case 'h':
      return "0-9A-Fa-f";
    default:
      return {};
  }
}

}  // namespace windlass

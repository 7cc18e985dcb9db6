#include "src/text/jinja/string_literal.h"

#include <charconv>
#include <stdexcept>

#include "src/text/jinja/unicode.h"

namespace windlass::jinja {
namespace {

std::int32_t parse_digits(std::string_view digits, int base) {
  std::int32_t value = -1;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  return whole ? value : -1;
}

// \x41, \u0041, \U00000041: n digits after the letter.
std::size_t append_hexadecimal(std::string& out, std::string_view escape, std::size_t n) {
  const std::string_view digits = escape.substr(1, n);
  const std::int32_t c = digits.size() == n && digits[0] != '-' ? parse_digits(digits, 16) : -1;
  const bool is_surrogate = c >= 0xD800 && c <= 0xDFFF;
  if (c < 0 || c > 0x10FFFF || is_surrogate)
    throw std::invalid_argument("a string has the escape '\\" +
                                std::string(escape.substr(0, n + 1)) + "', which is no character");
  append_utf8(out, c);
  return n + 1;
}

std::size_t append_octal(std::string& out, std::string_view escape) {
  std::size_t n = 1;
  while (n < 3 && n < escape.size() && escape[n] >= '0' && escape[n] <= '7') ++n;
  append_utf8(out, parse_digits(escape.substr(0, n), 8));
  return n;
}

// The escape after its backslash; gives how many bytes it takes.
std::size_t append_escape(std::string& out, std::string_view escape) {
  constexpr std::string_view kNames = "\\'\"abfnrtv", kValues = "\\'\"\a\b\f\n\r\t\v";
  const char c = escape[0];
  if (const auto at = kNames.find(c); at != std::string_view::npos) {
    out += kValues[at];
    return 1;
  }
  if (c == '\n') return 1;  // goes on in the next line
  if (c == 'x') return append_hexadecimal(out, escape, 2);
  if (c == 'u') return append_hexadecimal(out, escape, 4);
  if (c == 'U') return append_hexadecimal(out, escape, 8);
  if (c >= '0' && c <= '7') return append_octal(out, escape);
  if (c == 'N') throw std::invalid_argument("characters by name ('\\N{...}') are not supported");
  out += '\\';  // unknown ones stand for themselves
  return 0;
}

}  // namespace

std::string resolve_escapes(std::string_view literal) {
  std::string out;
  while (!literal.empty()) {
    const std::size_t plain = std::min(literal.find('\\'), literal.size());
    out += literal.substr(0, plain);
    literal.remove_prefix(plain);
    if (literal.size() < 2) break;
    literal.remove_prefix(1);
    literal.remove_prefix(append_escape(out, literal));
  }
  return out;
}

}  // namespace windlass::jinja

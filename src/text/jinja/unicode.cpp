#include "src/text/jinja/unicode.h"

#include <string.h>
#include <utf8proc.h>

#include <algorithm>

#include "src/text/jinja/special_casing.h"
#include "src/text/utf8.h"

namespace windlass::jinja {
namespace {

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

utf8proc_category_t category_of(std::int32_t code_point) { return utf8proc_category(code_point); }

// Letters with case, of which titles and words are made.
bool is_cased(std::int32_t c) {
  return is_upper(c) || is_lower(c) || category_of(c) == UTF8PROC_CATEGORY_LT;
}

// Passed over when looking for the letters around a sigma.
bool is_case_ignorable(std::int32_t c) {
  if (c == '\'' || c == '.' || c == ':' || c == '^' || c == '`' || c == 0xA8 || c == 0xAD ||
      c == 0xAF || c == 0xB4 || c == 0xB7 || c == 0xB8 || c == 0x2019)
    return true;
  switch (category_of(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return false;
  }
}

// A capital sigma at `at` ends a word: a cased letter before it, none after.
bool is_final_sigma(std::string_view text, std::size_t at) {
  std::size_t before = at;
  bool letter_before = false;
  while (before > 0) {
    do --before;
    while (before > 0 && is_continuation(text[before]));
    const std::int32_t c = next_code_point(text.substr(before)).value;
    if (is_case_ignorable(c)) continue;
    letter_before = is_cased(c);
    break;
  }
  if (!letter_before) return false;
  for (std::size_t after = at + 2; after < text.size();) {
    const CodePoint point = next_code_point(text.substr(after));
    if (!is_case_ignorable(point.value)) return !is_cased(point.value);
    after += point.size_bytes;
  }
  return true;
}

constexpr std::int32_t kCapitalSigma = 0x3A3, kFinalSigma = 0x3C2, kCapitalIWithDot = 0x130;

void append_lower(std::string& out, std::string_view text, std::size_t at, std::int32_t c) {
  if (c == kCapitalSigma && is_final_sigma(text, at)) {
    append_utf8(out, kFinalSigma);
  } else if (c == kCapitalIWithDot) {
    out += "i\xCC\x87";  // i and a combining dot
  } else {
    append_utf8(out, utf8proc_tolower(c));
  }
}

void append_upper(std::string& out, std::int32_t c, bool title) {
  if (const SpecialCase* special = find_special_case(c)) {
    out += title ? special->title : special->upper;
  } else {
    append_utf8(out, title ? utf8proc_totitle(c) : utf8proc_toupper(c));
  }
}

// f(code point, its offset) for each.
template <typename F>
void for_each_code_point(std::string_view text, F&& f) {
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text.substr(at));
    f(point.value, at);
    at += point.size_bytes;
  }
}

template <typename IsStripped>
std::string_view strip_if(std::string_view text, Side side, IsStripped&& is_stripped) {
  while (side != Side::kRight && !text.empty()) {
    const std::string_view first = first_code_point(text);
    if (!is_stripped(first)) break;
    text.remove_prefix(first.size());
  }
  while (side != Side::kLeft && !text.empty()) {
    std::size_t last = text.size() - 1;
    while (last > 0 && is_continuation(text[last])) --last;
    if (!is_stripped(text.substr(last))) break;
    text.remove_suffix(text.size() - last);
  }
  return text;
}

}  // namespace

std::int64_t count_code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return !is_continuation(byte); });
}

std::string_view first_code_point(std::string_view text) {
  std::size_t size = 1;
  while (size < text.size() && is_continuation(text[size])) ++size;
  return text.substr(0, size);
}

std::size_t offset_of(std::string_view text, std::int64_t n) {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!is_continuation(text[at]) && n-- == 0) return at;
  }
  return text.size();
}

std::vector<std::string_view> split_code_points(std::string_view text) {
  std::vector<std::string_view> points;
  while (!text.empty()) {
    points.push_back(first_code_point(text));
    text.remove_prefix(points.back().size());
  }
  return points;
}

std::size_t find_text(std::string_view text, std::string_view part, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  // glibc's memmem is the two-way algorithm; std::string_view::find takes n * m steps at worst.
  const void* found = ::memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

void append_utf8(std::string& text, std::int32_t code_point) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t n = utf8proc_encode_char(code_point, bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
}

bool is_space(std::int32_t c) {
  if (c < 0x80) return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_printable(std::int32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (category_of(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_letter(std::int32_t c) {
  const utf8proc_category_t category = category_of(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(std::int32_t c) { return category_of(c) == UTF8PROC_CATEGORY_ND; }

// Uppercase and Lowercase of Unicode: the categories and a few more (circled and superscript
// letters).
bool is_upper(std::int32_t c) {
  return category_of(c) == UTF8PROC_CATEGORY_LU || (c >= 0x2160 && c <= 0x216F) ||
         (c >= 0x24B6 && c <= 0x24CF) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

bool is_lower(std::int32_t c) {
  return category_of(c) == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA ||
         (c >= 0x2B0 && c <= 0x2B8) || (c >= 0x2C0 && c <= 0x2C1) || (c >= 0x2E0 && c <= 0x2E4) ||
         c == 0x37A || (c >= 0x1D2C && c <= 0x1D6A) || c == 0x1D78 ||
         (c >= 0x1D9B && c <= 0x1DBF) || c == 0x2071 || c == 0x207F ||
         (c >= 0x2090 && c <= 0x209C) || (c >= 0x2170 && c <= 0x217F) ||
         (c >= 0x24D0 && c <= 0x24E9);
}

std::string to_upper(std::string_view text) {
  std::string out;
  for_each_code_point(text, [&](std::int32_t c, std::size_t) { append_upper(out, c, false); });
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out;
  for_each_code_point(text,
                      [&](std::int32_t c, std::size_t at) { append_lower(out, text, at, c); });
  return out;
}

std::string to_title(std::string_view text) {
  std::string out;
  bool in_word = false;
  for_each_code_point(text, [&](std::int32_t c, std::size_t at) {
    if (in_word) {
      append_lower(out, text, at, c);
    } else {
      append_upper(out, c, true);
    }
    in_word = is_cased(c);
  });
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  for_each_code_point(text, [&](std::int32_t c, std::size_t at) {
    if (at == 0) {
      append_upper(out, c, true);
    } else {
      append_lower(out, text, at, c);
    }
  });
  return out;
}

std::string swap_case(std::string_view text) {
  std::string out;
  for_each_code_point(text, [&](std::int32_t c, std::size_t at) {
    if (is_upper(c)) {
      append_lower(out, text, at, c);
    } else if (is_lower(c)) {
      append_upper(out, c, false);
    } else {
      append_utf8(out, c);
    }
  });
  return out;
}

std::string_view strip(std::string_view text, Side side) {
  return strip_if(text, side, [](std::string_view character) {
    return is_space(next_code_point(character).value);
  });
}

std::string_view strip(std::string_view text, Side side, std::string_view characters) {
  return strip_if(text, side, [&](std::string_view character) {
    return characters.find(character) != std::string_view::npos;
  });
}

}  // namespace windlass::jinja

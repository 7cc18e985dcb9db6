// Strings as sequences of code points, and Python's character classes. All text is valid UTF-8:
// what enters a rendering is checked or repaired.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace windlass::jinja {

std::int64_t count_code_points(std::string_view text);
// Bytes of the first one. REQUIRES: not empty.
std::string_view first_code_point(std::string_view text);
// Byte offset of code point n; text.size() when it has fewer.
std::size_t offset_of(std::string_view text, std::int64_t n);
std::vector<std::string_view> split_code_points(std::string_view text);
// std::string_view::find, but in linear time whatever the texts.
std::size_t find_text(std::string_view text, std::string_view part, std::size_t from);
void append_utf8(std::string& text, std::int32_t code_point);

// str.isspace, of one code point.
bool is_space(std::int32_t code_point);
// str.isprintable
bool is_printable(std::int32_t code_point);
bool is_letter(std::int32_t code_point);  // str.isalpha
bool is_decimal(std::int32_t code_point);
bool is_upper(std::int32_t code_point);
bool is_lower(std::int32_t code_point);

// Python's full case mappings.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);  // str.title: every word of letters
std::string capitalize(std::string_view text);
std::string swap_case(std::string_view text);

enum class Side : std::uint8_t { kLeft, kRight, kBoth };
// Without white space at its ends.
std::string_view strip(std::string_view text, Side side);
// Without the code points of `characters` at its ends.
std::string_view strip(std::string_view text, Side side, std::string_view characters);

}  // namespace windlass::jinja

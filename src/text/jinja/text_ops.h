// What filters and methods of strings share. Each takes its steps from the heap.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/text/jinja/heap.h"
#include "src/text/jinja/unicode.h"
#include "src/text/jinja/value.h"

namespace windlass::jinja {

// count < 0: all.
std::string replace_text(Heap& heap, std::string_view text, std::string_view from,
                         std::string_view to, std::int64_t count);
// str.split and str.rsplit. separator: nothing for runs of white space. most < 0: no limit.
Values split_text(Heap& heap, std::string_view text, std::optional<std::string_view> separator,
                  std::int64_t most, Side from);
// str.splitlines, by all of Unicode's line ends.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);
// characters: nothing for white space.
std::string_view strip_text(Heap& heap, std::string_view text, Side side,
                            std::optional<std::string_view> characters);
// Jinja's title filter: words begin after blanks, hyphens and opening brackets.
std::string title_words(std::string_view text);
// str.center
std::string center_text(Heap& heap, std::string_view text, std::int64_t width,
                        std::string_view fill);
// With & < > " and ' as HTML entities.
void append_escaped(TextBuilder& out, std::string_view text);
// Charges for work of n bytes that looks at each code point.
void charge_text(Heap& heap, std::string_view text);

}  // namespace windlass::jinja

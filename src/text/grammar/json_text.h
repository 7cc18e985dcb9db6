// The parts of JSON's own grammar as expressions, for the schema converter.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/text/grammar/expression.h"

namespace windlass {

// Integers beyond these are not generated: 16 digits are what a double holds exactly.
inline constexpr std::int64_t kMostJsonInteger = 9'999'999'999'999'999;

// One character of these ranges as it stands in a JSON string: itself, or its escape where JSON
// wants one.
Expression json_character(const std::vector<CodeRange>& ranges);
// Any character of a JSON string, also escaped.
Expression json_any_character();
// Nothing, a space, or a new line with an indentation.
Expression json_space();
Expression json_number();
// An integer from least to most. REQUIRES: -kMostJsonInteger <= least <= most <= kMostJsonInteger.
Expression json_integer(std::int64_t least, std::int64_t most);
// The string's content (no quotes) matched by an ECMA regular expression: literals, ., classes,
// \d \w \s, groups, |, * + ? {m,n}, and ^ $ at the ends of alternatives. Error(kUsage) beginning
// with `where` for anything else.
Expression json_pattern(std::string_view pattern, const std::string& where);
// A string's content that is none of `names`, which hold nothing that JSON escapes.
Expression json_string_except(const std::vector<std::string>& names);

}  // namespace windlass

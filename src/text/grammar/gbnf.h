// GBNF, llama.cpp's notation of grammars: rules `name ::= ...` with alternatives, groups, literals,
// character classes, `.`, rule names, * + ? {m} {m,} {m,n}, and # comments. The rule `root` is the
// whole text.
#pragma once

#include <cstdint>
#include <string_view>

#include "src/text/grammar/expression.h"

namespace windlass {

inline constexpr std::int64_t kMostGrammarBytes = 256 * 1024;

// Error(kUsage) with line and reason. Left recursion and size are the compiler's to judge
// (automaton.h). Memory: some 150 B for each byte of the text at most.
GrammarRules parse_gbnf(std::string_view text);

}  // namespace windlass

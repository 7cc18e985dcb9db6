// Expressions in the syntax of Oniguruma, which the tokenizers library compiles those of a
// tokenizer.json with, written for PCRE2.
#pragma once

#include <string>
#include <string_view>

namespace windlass {

// An expression that matches in PCRE2 (UTF, UCP, newline LF) what `expression` matches in
// Oniguruma 6.9, but for characters newer than PCRE2's Unicode. Where the two read the same text
// differently: ^ and $ (every line), (?m) (dot takes newlines), (?i) (to the end of its group),
// {n,m}+ and {n}? (repeated repetitions), {,n}, \w \b \s \h \v, [[:alpha:]] and its like, classes
// inside of classes, \p{Han} (scripts). Error(kUnsupported) naming a construct that has no such
// form here.
std::string translate_oniguruma(std::string_view expression, std::string_view source);

}  // namespace windlass

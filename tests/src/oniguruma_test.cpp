// Expressions in Oniguruma's syntax: cut as the tokenizers library (0.23) cuts, or refused by name.
#include "src/text/oniguruma.h"

#include <string>

#include "src/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/pieces.h"

namespace windlass {
namespace {

struct Case {
  const char* expression;
  std::string text;
  std::string pieces;  // with a slash between them
};

// clang-format off
const Case kCases[] = {
    {R"x(\p{N}{1,3}+)x", "1234567 8", "1234567/ /8"},
    {R"x(a{2}?b)x", "aaab ab b", "a/aab/ a/b/ /b"},
    {R"x(a{1,2}*b)x", "aaaab b", "aaaab/ /b"},
    {R"x(a{,2}b)x", "aaab ab b", "a/aab/ /ab/ /b"},
    {R"x(a{,}b)x", "a{,}b", "a{,}b"},
    {R"x((?:ab){1,2}+)x", "abababab ab", "abababab/ /ab"},
    {R"x(a++a)x", "aaa", "aaa"},
    {R"x(^\s*\w)x", "a\012  b\012\012c", "a/\012/  b/\012/\012c"},
    {R"x(\w$)x", "ab\012cd\012", "a/b/\012c/d/\012"},
    {R"x(\s+$)x", "a  \012 \012  b \012", "a/  \012 /\012  b/ \012"},
    {R"x(\s+$|x)x", "a  \012 \012  b x \012", "a/  \012 /\012  b /x/ \012"},
    {R"x((?m)a.b)x", "a\012b acb", "a\012b/ /acb"},
    {R"x((?-m)a.b)x", "a\012b acb", "a\012b /acb"},
    {R"x(a(?i)b|c)x", "aB C ab c", "aB/ C /ab/ c"},
    {R"x(((?i)a)B)x", "aB AB ab", "aB/ /AB/ ab"},
    {R"x(\w+)x", "x\302\262y _\331\243-\342\223\220\341\240\216", "x\302\262y/ /_\331\243/-/\342\223\220/\341\240\216"},
    {R"x([\w]+)x", "x\302\262y", "x/\302\262/y"},
    {R"x(\bfoo\b)x", "foo foob xfoo (foo)", "foo/ foob xfoo (/foo/)"},
    {R"x(\B )x", "a  b", "a / /b"},
    {R"x(\h+)x", "xBEEF", "x/BEEF"},
    {R"x(\v)x", "a\013b\014", "a/\013/b\014"},
    {R"x([[:alpha:]]+)x", "a\303\2511\342\205\247\344\270\255", "a\303\251/1/\342\205\247\344\270\255"},
    {R"x([[:punct:]])x", "a+b\342\202\254c!", "a/+/b/\342\202\254/c/!"},
    {R"x([[:^punct:]]+)x", "a+b\342\202\254c!", "a/+/b/\342\202\254/c/!"},
    {R"x([^[:^alpha:]]+)x", "a1b", "a/1/b"},
    {R"x([[:graph:]]+)x", "a b\011c", "a/ /b/\011/c"},
    {R"x([\W_]+)x", "a_-b", "a/_-/b"},
    {R"x([^\S\n]+)x", "a \341\240\216 \012b", "a/ /\341\240\216/ /\012b"},
    {R"x([^a[bc]]+)x", "xabyc", "x/ab/y/c"},
    {R"x([a[^b]]+)x", "abcb", "a/b/c/b"},
    {R"x( ?[^(\s|[.,!?…])]+)x", "hi (you|there), ok!", "hi/ (/you/|/there/),/ ok/!"},
    {R"x([a-]+)x", "a-b", "a-/b"},
    {R"x([]a]+)x", "b]a", "b/]a"},
    {R"x([.,!?.])x", "a.b", "a/./b"},
    {R"x([a^])x", "^ab", "^/a/b"},
    {R"x(\p{Han}+)x", "\346\274\242\345\255\227\343\200\205\343\200\206\343\203\274\343\200\207", "\346\274\242\345\255\227\343\200\205/\343\200\206\343\203\274/\343\200\207"},
    {R"x(\p{^L}+)x", "a1 b", "a/1 /b"},
    {R"x(\p{Letter}+)x", "a1b", "a/1/b"},
    {R"x(\u00e9+)x", "a\303\251\303\251", "a/\303\251\303\251"},
    {R"x(\x{e9}|\x41)x", "A\303\251", "A/\303\251"},
    {R"x((?<name>a)b)x", "abb", "ab/b"},
    {R"x((?#[c)a)x", "ba", "b/a"},
    {R"x((a|b)\1)x", "abba", "a/bb/a"},
    {R"x(a#b)x", "xa#b", "x/a#b"},
    {R"x(a**)x", "baa", "b/aa"},
    {R"x('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s)x", "Don'T 12345678  x\012  y  \012", "Don/'T/ /12345678/ / x/\012/ / y/  \012"},
};
// clang-format on

std::string cut(const std::string& expression, const std::string& text) {
  PreTokenizer split;
  split.add(RegexSplit{Regex(expression, "test", RegexSyntax::kOniguruma)});
  std::string joined;
  for (const std::string& piece : testing::pieces_of(split, text)) {
    joined.append(joined.empty() ? "" : "/").append(piece);
  }
  return joined;
}

}  // namespace

TEST_CASE("expressions in Oniguruma's syntax cut as the tokenizers library cuts") {
  for (const Case& known : kCases) {
    INFO(known.expression);
    CHECK(cut(known.expression, known.text) == known.pieces);
  }
}

TEST_CASE("what an expression has and PCRE2 reads otherwise is refused by name") {
  for (const char* construct :
       {"(?x", "(?i) and 'st'", "'&&'", "'\\X'", "'\\y'", "'\\k'", "(?~", "(*", "\\p{Word}"}) {
    INFO(construct);
    const std::string text = construct;
    const std::string expression = text.starts_with("(?i)") ? "(?i)first"
                                   : text == "'&&'"         ? "[a&&b]"
                                   : text == "'\\k'"        ? "(?<n>a)\\k<n>"
                                   : text.starts_with('\'') ? text.substr(1, text.size() - 2)
                                   : text == "(?x"          ? "(?x: a )"
                                   : text == "(?~"          ? "(?~a)"
                                   : text == "(*"           ? "(*FAIL)"
                                                            : text;
    try {
      translate_oniguruma(expression, "f.json: split");
      FAIL("not refused");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kUnsupported);
      CHECK(std::string(error.what()).starts_with("f.json: split: the expression has "));
      CHECK(std::string(error.what()).find(text) != std::string::npos);
    }
  }
}

TEST_CASE("a run of spaces that ends no line is split in linear time") {
  std::string text(1'000'000, ' ');
  text += "x";
  CHECK(cut(R"(\s+$)", text) == text);
}

}  // namespace windlass

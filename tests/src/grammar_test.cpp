// Grammars: what GBNF means, byte by byte; what is refused; and hostile input, bounded.
#include <random>

#include "src/base/error.h"
#include "src/text/grammar/gbnf.h"
#include "src/text/grammar/matcher.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

Automaton compile(const std::string& gbnf) { return compile_grammar(parse_gbnf(gbnf), "grammar"); }

// The state after the text; kDead where it is no beginning.
Matcher::StateId follow(Matcher& matcher, const std::string& text) {
  Matcher::StateId state = matcher.restart();
  for (const char c : text) {
    Matcher::StateId next = matcher.step(state, static_cast<std::uint8_t>(c));
    if (next == Matcher::kFull) {
      matcher.compact(std::span(&state, 1));
      next = matcher.step(state, static_cast<std::uint8_t>(c));
    }
    state = next;
  }
  return state;
}

bool accepts(const std::string& gbnf, const std::string& text) {
  Matcher matcher(compile(gbnf));
  return matcher.complete(follow(matcher, text));
}

bool begins(const std::string& gbnf, const std::string& text) {
  Matcher matcher(compile(gbnf));
  return follow(matcher, text) != Matcher::kDead;
}

std::string refusal(const std::string& gbnf) {
  try {
    compile(gbnf);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::kUsage);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "accepted";
}

const char* const kArithmetic = R"gbnf(
# sums of products
root  ::= sum "\n"
sum   ::= term ([-+] term)*   # a comment
term  ::= factor ("*" factor)*
factor ::= number | "(" sum ")"
number ::= [0-9]+
)gbnf";

}  // namespace

TEST_CASE("literals, alternatives and groups mean what they say") {
  CHECK(accepts(R"(root ::= "ab" ("c" | "d" "e") "f")", "abcf"));
  CHECK(accepts(R"(root ::= "ab" ("c" | "d" "e") "f")", "abdef"));
  CHECK_FALSE(accepts(R"(root ::= "ab" ("c" | "d" "e") "f")", "abdf"));
  CHECK_FALSE(accepts(R"(root ::= "ab")", "a"));
  CHECK(begins(R"(root ::= "ab")", "a"));
  CHECK_FALSE(begins(R"(root ::= "ab")", "abc"));
  CHECK(accepts("root ::= \"\"", ""));
  CHECK(accepts("root ::= | \"x\"", ""));
  CHECK(accepts("root ::=\n  \"x\" |\n  \"y\"\n\nother ::= \"z\"", "y"));
}

TEST_CASE("repetitions count") {
  const auto lengths = [](const std::string& suffix) {
    std::string out;
    for (std::size_t n = 0; n <= 6; ++n) {
      if (accepts("root ::= \"ab\"" + suffix + " \"!\"", [&] {
            std::string text;
            for (std::size_t i = 0; i < n; ++i) text += "ab";
            return text + "!";
          }())) {
        out += static_cast<char>('0' + n);
      }
    }
    return out;
  };
  CHECK(lengths("?") == "01");
  CHECK(lengths("*") == "0123456");
  CHECK(lengths("+") == "123456");
  CHECK(lengths("{3}") == "3");
  CHECK(lengths("{2,}") == "23456");
  CHECK(lengths("{2,4}") == "234");
  CHECK(lengths("{0,1}") == "01");
  CHECK(lengths("{0}") == "0");
}

TEST_CASE("large and nested repetitions stay small and exact") {
  const std::string many = "root ::= ([a-z] [0-9] \"xyz\"){40}{3}";
  CHECK(compile(many).nodes.size() < 400);
  std::string text;
  for (int i = 0; i < 119; ++i) text += "q7xyz";
  CHECK_FALSE(accepts(many, text));
  CHECK(accepts(many, text + "q7xyz"));
  CHECK_FALSE(begins(many, text + "q7xyzq"));
}

TEST_CASE("character classes hold characters, not bytes, and may span steps") {
  CHECK(accepts("root ::= [a-cx]", "b"));
  CHECK(accepts("root ::= [a-cx]", "x"));
  CHECK_FALSE(accepts("root ::= [a-cx]", "d"));
  CHECK(accepts("root ::= [^a-c]", "d"));
  CHECK_FALSE(accepts("root ::= [^a-c]", "c"));
  CHECK(accepts("root ::= [^\"\\\\\\n]+", "text"));
  CHECK_FALSE(accepts("root ::= [^\"\\\\\\n]+", "te\nxt"));
  CHECK(accepts("root ::= [a\\-z\\]-]", "-"));
  CHECK_FALSE(accepts("root ::= [a\\-z\\]-]", "b"));
  CHECK(accepts("root ::= [à-ü]", "é"));
  CHECK_FALSE(accepts("root ::= [à-ü]", "e"));
  CHECK(begins("root ::= [à-ü]", "\xC3"));
  CHECK_FALSE(begins("root ::= [à-ü]", "\xC4"));
  CHECK(accepts("root ::= [\\u4E00-\\u9FFF]{2}", "漢字"));
  CHECK(accepts("root ::= \"\\U0001F600\\x41\"", "😀A"));
  CHECK(accepts("root ::= [^x]", "😀"));
  CHECK(accepts("root ::= .", "\n"));
}

TEST_CASE("a dot is every character and only valid UTF-8") {
  Matcher matcher(compile("root ::= ."));
  std::mt19937 random(3);
  for (int i = 0; i < 3000; ++i) {
    const auto code = static_cast<std::uint32_t>(random() % 0x110000);
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string text;
    if (code < 0x80) {
      text = {static_cast<char>(code)};
    } else if (code < 0x800) {
      text = {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 63))};
    } else if (code < 0x10000) {
      text = {static_cast<char>(0xE0 | (code >> 12)), static_cast<char>(0x80 | ((code >> 6) & 63)),
              static_cast<char>(0x80 | (code & 63))};
    } else {
      text = {static_cast<char>(0xF0 | (code >> 18)), static_cast<char>(0x80 | ((code >> 12) & 63)),
              static_cast<char>(0x80 | ((code >> 6) & 63)), static_cast<char>(0x80 | (code & 63))};
    }
    if (!matcher.complete(follow(matcher, text))) FAIL(code);
  }
  for (const char* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
                          "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5", "\xFF"}) {
    CHECK(follow(matcher, bad) == Matcher::kDead);
  }
}

TEST_CASE("rules call each other, recursion and all") {
  CHECK(accepts(kArithmetic, "1+2*(3-40)\n"));
  CHECK(accepts(kArithmetic, "((((7))))\n"));
  CHECK_FALSE(accepts(kArithmetic, "1+2"));
  CHECK_FALSE(begins(kArithmetic, "1+)"));
  CHECK_FALSE(begins(kArithmetic, "(1))"));
  const std::string palindrome = R"(root ::= "a" root "a" | "b" root "b" | "c")";
  CHECK(accepts(palindrome, "abbacabba"));
  CHECK_FALSE(begins(palindrome, "abbacabbb"));
}

TEST_CASE("a nullable part may repeat without end") {
  CHECK(accepts("root ::= (\"a\"? \"b\"*)* \"!\"", "abba!"));
  CHECK(accepts("root ::= x* \"!\"\nx ::= y?\ny ::= \"a\"", "aaa!"));
}

TEST_CASE("deep nesting within the tables is followed, deeper is refused") {
  Matcher matcher(compile("root ::= \"(\" root \")\" | \"x\""));
  const std::string deep(5000, '(');
  CHECK(matcher.complete(follow(matcher, deep + "x" + std::string(5000, ')'))));
  CHECK_THROWS_AS(follow(matcher, std::string(100000, '(')), Error);
  CHECK(matcher.complete(follow(matcher, "(x)")));  // the error broke nothing
}

TEST_CASE("right recursion takes no stack") {
  Matcher matcher(compile("root ::= \"x\" root | \"!\""));
  CHECK(matcher.complete(follow(matcher, std::string(100000, 'x') + "!")));
}

TEST_CASE("left recursion is refused, hidden or not") {
  CHECK_THAT(refusal("root ::= root \"a\" | \"b\""), Contains("rule root is left-recursive"));
  CHECK_THAT(refusal("root ::= a\na ::= b \"x\"\nb ::= a | \"y\""), Contains("left-recursive"));
  CHECK_THAT(refusal("root ::= e root \"a\" | \"b\"\ne ::= \"x\"?"),
             Contains("rule root is left-recursive"));
  CHECK_THAT(refusal("root ::= (\"\" root)? \"b\""), Contains("left-recursive"));
  CHECK(refusal("root ::= \"b\" root | \"b\"") == "accepted");
}

TEST_CASE("a grammar without any finite text is refused, and dead branches are never entered") {
  CHECK_THAT(refusal("root ::= \"a\" root"), Contains("no text can satisfy it"));
  CHECK_THAT(refusal("root ::= []"), Contains("no text can satisfy it"));
  CHECK_FALSE(begins("root ::= \"a\" \"b\" [] | \"ac\"", "ab"));
  CHECK(accepts("root ::= \"a\" \"b\" [] | \"ac\"", "ac"));
  CHECK_FALSE(begins("root ::= x | \"c\"\nx ::= \"a\" x", "a"));
}

TEST_CASE("what is wrong with a grammar is said with its line") {
  CHECK_THAT(refusal(""), Contains("no rule named root"));
  CHECK_THAT(refusal("roof ::= \"x\""), Contains("no rule named root"));
  CHECK_THAT(refusal("root = \"x\""), Contains("line 1: expected ::= after root, found ="));
  CHECK_THAT(refusal("root ::= \"x\"\n\n a ::= b"), Contains("line 3: rule b is not defined"));
  CHECK_THAT(refusal("root ::= \"x"), Contains("not closed by \""));
  CHECK_THAT(refusal("root ::= [a-"), Contains("not closed by ]"));
  CHECK_THAT(refusal("root ::= [z-a]"), Contains("wrong way round"));
  CHECK_THAT(refusal("root ::= (\"x\" "), Contains("expected ), found the end"));
  CHECK_THAT(refusal("root ::= * \"x\""), Contains("* has nothing before it"));
  CHECK_THAT(refusal("root ::= \"x\"{3,2}"), Contains("wrong way round"));
  CHECK_THAT(refusal("root ::= \"x\"{a}"), Contains("expected a number"));
  CHECK_THAT(refusal("root ::= \"x\"{9999999999999}"), Contains("more than 100000 repetitions"));
  CHECK_THAT(refusal("root ::= \"\\q\""), Contains("unknown escape \\q"));
  CHECK_THAT(refusal("root ::= \"\\uD800\""), Contains("U+D800 is no character"));
  CHECK_THAT(refusal("root ::= \"x\"\nroot ::= \"y\""), Contains("already defined in line 1"));
  CHECK_THAT(refusal("root ::= \"x\" )"), Contains("unexpected )"));
  CHECK_THAT(refusal("root ::= \xFF"), Contains("UTF-8"));
}

TEST_CASE("hostile grammars are bounded") {
  CHECK_THAT(refusal("root ::= \"ab\"{100000}{100000}{100000}"), Contains("too large"));
  CHECK_THAT(refusal("root ::= " + std::string(100000, '(')), Contains("nested more than"));
  CHECK_THAT(refusal("root ::= \"a\"" + std::string(1000, '*')), Contains("repetitions of"));
  CHECK_THAT(refusal(std::string(300 * 1024, '#')), Contains("too many"));
  // A chain of rules as long as the text may be, in the order that needs most passes.
  std::string chain;
  for (int i = 9000; i > 0; --i) chain += fmt::format("r{} ::= r{}\n", i, i - 1);
  CHECK(refusal("root ::= r9000\n" + chain + "r0 ::= \"x\"") == "accepted");
  // Twice as many readings with each x.
  Matcher matcher(compile("root ::= \"x\" root \"y\" | \"x\" root \"z\" | \"\""));
  CHECK_THROWS_AS(follow(matcher, std::string(64, 'x')), Error);
}

TEST_CASE("forgetting states changes nothing") {
  Matcher whole(compile(kArithmetic)), forgetful(compile(kArithmetic));
  const std::string text = "(1+(22*3)-((4)))*5-6\n";
  Matcher::StateId a = whole.restart(), b = forgetful.restart();
  for (const char c : text) {
    forgetful.compact(std::span(&b, 1));
    a = whole.step(a, static_cast<std::uint8_t>(c));
    b = forgetful.step(b, static_cast<std::uint8_t>(c));
    for (int byte = 0; byte < 256; ++byte) {
      const auto value = static_cast<std::uint8_t>(byte);
      CHECK((whole.step(a, value) == Matcher::kDead) ==
            (forgetful.step(b, value) == Matcher::kDead));
    }
    CHECK(whole.complete(a) == forgetful.complete(b));
  }
  CHECK(whole.complete(a));
}

}  // namespace windlass

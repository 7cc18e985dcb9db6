#include "src/text/grammar/json_text.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/text/grammar/utf8_ranges.h"
#include "src/text/utf8.h"

namespace windlass {
namespace {

using Kind = Expression;

Expression digits(std::int64_t least, std::int64_t most) {
  return Kind::repeat(Kind::one_of({{'0', '9'}}), least, most);
}

std::vector<CodeRange> cut(const std::vector<CodeRange>& ranges,
                           const std::vector<CodeRange>& allowed) {
  std::vector<CodeRange> out;
  for (const CodeRange& a : ranges) {
    for (const CodeRange& b : allowed) {
      const CodeRange both = {std::max(a.first, b.first), std::min(a.last, b.last)};
      if (both.first <= both.last) out.push_back(both);
    }
  }
  return out;
}

std::string escape_of(std::int32_t code) {
  switch (code) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return std::string("\\u00") + "01"[code / 16] + "0123456789abcdef"[code % 16];
  }
}

const std::vector<CodeRange>& plain_characters() {
  static const std::vector<CodeRange> kPlain = negate_ranges({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}});
  return kPlain;
}

// Numbers of as many digits as both have, from `least` to `most`, digit by digit.
Expression same_length(std::string_view least, std::string_view most) {
  if (least.empty()) return Kind::literal("");
  const auto rest = static_cast<std::int64_t>(least.size()) - 1;
  const auto all_are = [](std::string_view text, char digit) {
    return text.find_first_not_of(digit) == std::string_view::npos;
  };
  char first = least[0], last = most[0];
  const std::string zeros(least.size() - 1, '0'), nines(least.size() - 1, '9');
  if (first == last) {
    return Kind::sequence(
        {Kind::literal(std::string(1, first)), same_length(least.substr(1), most.substr(1))});
  }
  std::vector<Expression> choices;
  if (!all_are(least.substr(1), '0')) {
    choices.push_back(Kind::sequence(
        {Kind::literal(std::string(1, first)), same_length(least.substr(1), nines)}));
    ++first;
  }
  if (!all_are(most.substr(1), '9')) {
    choices.push_back(
        Kind::sequence({Kind::literal(std::string(1, last)), same_length(zeros, most.substr(1))}));
    --last;
  }
  if (first <= last)
    choices.push_back(Kind::sequence({Kind::one_of({{first, last}}), digits(rest, rest)}));
  return Kind::choice(std::move(choices));
}

// REQUIRES: 0 <= least <= most.
Expression natural(std::int64_t least, std::int64_t most) {
  std::vector<Expression> choices;
  std::int64_t begin = least;
  while (begin <= most) {
    const std::string text = std::to_string(begin);
    const std::int64_t end =
        std::min<std::int64_t>(most, std::stoll(std::string(text.size(), '9')));
    choices.push_back(same_length(text, std::to_string(end)));
    begin = end + 1;
  }
  return Kind::choice(std::move(choices));
}

Expression except_below(std::vector<std::string> names, std::size_t depth) {
  std::vector<Expression> choices;
  std::vector<CodeRange> taken;
  bool is_name = false;
  while (!names.empty()) {
    const std::string name = names.back();
    if (name.size() == depth) {
      is_name = true;
      names.pop_back();
      continue;
    }
    const CodePoint next = next_code_point(std::string_view(name).substr(depth));
    const std::string begin = name.substr(0, depth + next.size_bytes);
    const auto same = std::stable_partition(
        names.begin(), names.end(), [&](const auto& other) { return !other.starts_with(begin); });
    std::vector<std::string> inside(same, names.end());
    names.erase(same, names.end());
    taken.push_back({next.value, next.value});
    choices.push_back(Kind::sequence(
        {Kind::literal(begin.substr(depth)), except_below(std::move(inside), begin.size())}));
  }
  choices.push_back(Kind::sequence({Kind::one_of(cut(negate_ranges(taken), plain_characters())),
                                    Kind::repeat(json_any_character(), 0, -1)}));
  if (!is_name) choices.push_back(Kind::literal(""));
  return Kind::choice(std::move(choices));
}

}  // namespace

Expression json_character(const std::vector<CodeRange>& ranges) {
  std::vector<Expression> choices;
  choices.push_back(Kind::one_of(merge_ranges(cut(ranges, plain_characters()))));
  for (const CodeRange& range : cut(ranges, {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}})) {
    for (std::int32_t code = range.first; code <= range.last; ++code)
      choices.push_back(Kind::literal(escape_of(code)));
  }
  return choices.size() == 1 ? std::move(choices[0]) : Kind::choice(std::move(choices));
}

// Escapes of surrogates are left out: alone they are no character.
Expression json_any_character() {
  const std::vector<CodeRange> hex = {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
  const std::vector<CodeRange> hex_but_d = {
      {'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}};
  const auto some = [&](std::int64_t n) { return Kind::repeat(Kind::one_of(hex), n, n); };
  Expression code = Kind::choice({Kind::sequence({Kind::one_of(hex_but_d), some(3)}),
                                  Kind::sequence({Kind::one_of({{'D', 'D'}, {'d', 'd'}}),
                                                  Kind::one_of({{'0', '7'}}), some(2)})});
  Expression simple = Kind::one_of(merge_ranges({{'"', '"'},
                                                 {'\\', '\\'},
                                                 {'/', '/'},
                                                 {'b', 'b'},
                                                 {'f', 'f'},
                                                 {'n', 'n'},
                                                 {'r', 'r'},
                                                 {'t', 't'}}));
  return Kind::choice(
      {Kind::one_of(plain_characters()),
       Kind::sequence({Kind::literal("\\"),
                       Kind::choice({std::move(simple),
                                     Kind::sequence({Kind::literal("u"), std::move(code)})})})});
}

Expression json_space() {
  return Kind::choice(
      {Kind::literal(""), Kind::literal(" "),
       Kind::sequence({Kind::literal("\n"), Kind::repeat(Kind::one_of({{' ', ' '}}), 0, 20)})});
}

// Two digits of exponent: below what overflows a double.
Expression json_number() {
  Expression whole = Kind::choice(
      {Kind::literal("0"), Kind::sequence({Kind::one_of({{'1', '9'}}), digits(0, 15)})});
  Expression fraction = Kind::sequence({Kind::literal("."), digits(1, 16)});
  Expression exponent =
      Kind::sequence({Kind::one_of({{'E', 'E'}, {'e', 'e'}}),
                      Kind::repeat(Kind::one_of({{'+', '+'}, {'-', '-'}}), 0, 1), digits(1, 2)});
  return Kind::sequence({Kind::repeat(Kind::literal("-"), 0, 1), std::move(whole),
                         Kind::repeat(std::move(fraction), 0, 1),
                         Kind::repeat(std::move(exponent), 0, 1)});
}

Expression json_integer(std::int64_t least, std::int64_t most) {
  WINDLASS_CHECK(-kMostJsonInteger <= least && least <= most && most <= kMostJsonInteger, least,
                 most);
  std::vector<Expression> choices;
  if (least < 0) {
    choices.push_back(
        Kind::sequence({Kind::literal("-"), natural(std::max<std::int64_t>(1, -most), -least)}));
  }
  if (most >= 0) choices.push_back(natural(std::max<std::int64_t>(0, least), most));
  return Kind::choice(std::move(choices));
}

Expression json_string_except(const std::vector<std::string>& names) {
  return except_below(names, 0);
}

}  // namespace windlass

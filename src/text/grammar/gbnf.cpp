#include "src/text/grammar/gbnf.h"

#include <algorithm>
#include <map>

#include "src/base/error.h"
#include "src/text/utf8.h"

namespace windlass {
namespace {

constexpr int kMostNesting = 100;
constexpr int kMostSuffixes = 8;  // of one item, as in "a"*+?
constexpr std::int64_t kMostRepeats = 100000;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  GrammarRules parse() {
    skip_space(true);
    while (!at_end()) rule();
    for (std::size_t i = 0; i < rules_.rules.size(); ++i) {
      if (defined_line_[i] == 0) {
        fail(ErrorCode::kUsage, "grammar, line {}: rule {} is not defined", used_line_[i],
             rules_.rules[i].name);
      }
    }
    const auto root = numbers_.find("root");
    if (root == numbers_.end()) fail(ErrorCode::kUsage, "grammar: there is no rule named root");
    rules_.root = root->second;
    return std::move(rules_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    const auto line =
        1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(position_), '\n');
    fail(ErrorCode::kUsage, "grammar, line {}: {}", line,
         fmt::format(format, std::forward<Args>(args)...));
  }

  bool at_end() const { return position_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[position_]; }
  bool take(std::string_view wanted) {
    if (text_.substr(position_, wanted.size()) != wanted) return false;
    position_ += wanted.size();
    return true;
  }
  // What stands here, for messages.
  std::string here() const {
    if (at_end()) return "the end";
    if (peek() == '\n' || peek() == '\r') return "the end of the line";
    if (static_cast<unsigned char>(peek()) < 0x20)
      return fmt::format("the control character {}", static_cast<int>(peek()));
    return std::string(
        text_.substr(position_, next_code_point(text_.substr(position_)).size_bytes));
  }

  // Lines are counted as they pass, so that no input makes counting quadratic.
  void skip_space(bool newlines) {
    while (!at_end()) {
      const char c = peek();
      if (c == '#') {
        while (!at_end() && peek() != '\n' && peek() != '\r') ++position_;
      } else if (c == ' ' || c == '\t' || (newlines && (c == '\n' || c == '\r'))) {
        line_ += c == '\n';
        ++position_;
      } else {
        return;
      }
    }
  }

  std::int32_t rule_number(std::string_view name) {
    const auto [entry, fresh] =
        numbers_.try_emplace(std::string(name), static_cast<std::int32_t>(rules_.rules.size()));
    if (fresh) {
      rules_.rules.push_back({std::string(name), {}});
      defined_line_.push_back(0);
      used_line_.push_back(line_);
    }
    return entry->second;
  }

  std::string_view word() {
    const std::size_t begin = position_;
    while (!at_end() && is_word(peek())) ++position_;
    if (position_ == begin) refuse("expected a rule's name, found {}", here());
    return text_.substr(begin, position_ - begin);
  }

  void rule() {
    const std::string_view name = word();
    skip_space(false);
    if (!take("::=")) refuse("expected ::= after {}, found {}", name, here());
    const auto number = static_cast<std::size_t>(rule_number(name));
    if (defined_line_[number] != 0)
      refuse("rule {} is already defined in line {}", name, defined_line_[number]);
    defined_line_[number] = line_;
    skip_space(true);
    Expression body = alternatives(0);
    rules_.rules[number].body = std::move(body);
    if (!at_end() && peek() != '\n' && peek() != '\r') refuse("unexpected {}", here());
    skip_space(true);
  }

  Expression alternatives(int depth) {
    if (depth > kMostNesting) refuse("groups are nested more than {} deep", kMostNesting);
    std::vector<Expression> choices;
    choices.push_back(sequence(depth));
    while (take("|")) {
      skip_space(true);
      choices.push_back(sequence(depth));
    }
    return choices.size() == 1 ? std::move(choices[0]) : Expression::choice(std::move(choices));
  }

  Expression sequence(int depth) {
    std::vector<Expression> items;
    int suffixes = 0;  // after one item: each is a level of the tree
    while (!at_end()) {
      const char c = peek();
      if (c == '*' || c == '+' || c == '?' || c == '{') {
        if (items.empty()) refuse("{} has nothing before it to repeat", c);
        if (++suffixes > kMostSuffixes) refuse("too many repetitions of repetitions");
        items.back() = repetition(std::move(items.back()));
      } else if (c == '"' || c == '[' || c == '(' || c == '.' || is_word(c)) {
        items.push_back(item(depth));
        suffixes = 0;
      } else {
        break;
      }
      skip_space(depth > 0);
    }
    return items.size() == 1 ? std::move(items[0]) : Expression::sequence(std::move(items));
  }

  Expression item(int depth) {
    if (take("\"")) return literal();
    if (take("[")) return character_class();
    if (take(".")) return Expression::one_of(negate_ranges({}));
    if (take("(")) {
      skip_space(true);
      Expression inner = alternatives(depth + 1);
      if (!take(")")) refuse("expected ), found {}", here());
      return inner;
    }
    return Expression::call(rule_number(word()));
  }

  Expression repetition(Expression item) {
    if (take("*")) return Expression::repeat(std::move(item), 0, -1);
    if (take("+")) return Expression::repeat(std::move(item), 1, -1);
    if (take("?")) return Expression::repeat(std::move(item), 0, 1);
    take("{");
    skip_space(false);
    const std::int64_t least = count();
    std::int64_t most = least;
    if (take(",")) {
      skip_space(false);
      most = is_digit(peek()) ? count() : -1;
    }
    if (!take("}")) refuse("expected }} to end a repetition, found {}", here());
    if (most >= 0 && most < least)
      refuse("repetition {{{},{}}} is the wrong way round", least, most);
    return Expression::repeat(std::move(item), least, most);
  }

  std::int64_t count() {
    if (!is_digit(peek())) refuse("expected a number of repetitions, found {}", here());
    std::int64_t value = 0;
    for (; is_digit(peek()); ++position_) {
      value = 10 * value + (peek() - '0');
      if (value > kMostRepeats) refuse("more than {} repetitions", kMostRepeats);
    }
    skip_space(false);
    return value;
  }

  Expression literal() {
    std::string text;
    while (!take("\"")) {
      if (at_end()) refuse("a literal is not closed by \"");
      append_utf8(character(), text);
    }
    return Expression::literal(std::move(text));
  }

  Expression character_class() {
    const bool negated = take("^");
    std::vector<CodeRange> ranges;
    while (!take("]")) {
      if (at_end()) refuse("a character class is not closed by ]");
      CodeRange range{};
      range.first = range.last = character();
      if (peek() == '-' && text_.substr(position_, 2) != "-]") {
        ++position_;
        if (at_end()) refuse("a character class is not closed by ]");
        range.last = character();
        if (range.last < range.first) refuse("a range of a character class is the wrong way round");
      }
      ranges.push_back(range);
    }
    return Expression::one_of(negated ? negate_ranges(std::move(ranges))
                                      : merge_ranges(std::move(ranges)));
  }

  // One character of a literal or a class, escapes resolved. REQUIRES: not at the end.
  std::int32_t character() {
    if (take("\\")) return escape();
    line_ += peek() == '\n';
    const CodePoint point = next_code_point(text_.substr(position_));
    position_ += point.size_bytes;
    return point.value;
  }

  std::int32_t escape() {
    const char c = peek();
    if (at_end()) refuse("an escape is not finished");
    ++position_;
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        return c;
      case 'x':
        return hex(2);
      case 'u':
        return hex(4);
      case 'U':
        return hex(8);
      default:
        --position_;
        refuse("unknown escape \\{}", here());
    }
  }

  std::int32_t hex(int digits) {
    std::int64_t value = 0;
    for (int i = 0; i < digits; ++i, ++position_) {
      const char c = peek();
      const int letter = (c | 0x20) - 'a';
      if (!is_digit(c) && (letter < 0 || letter > 5)) refuse("expected {} hex digits", digits);
      value = 16 * value + (is_digit(c) ? c - '0' : 10 + letter);
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
      refuse("U+{:04X} is no character", value);
    return static_cast<std::int32_t>(value);
  }

  std::string_view text_;
  std::size_t position_ = 0;
  std::int64_t line_ = 1;
  GrammarRules rules_;
  std::map<std::string, std::int32_t> numbers_;
  std::vector<std::int64_t> defined_line_, used_line_;  // by rule; 0: not yet
};

}  // namespace

GrammarRules parse_gbnf(std::string_view text) {
  if (static_cast<std::int64_t>(text.size()) > kMostGrammarBytes) {
    fail(ErrorCode::kUsage, "grammar: {} bytes are too many; at most {}", text.size(),
         kMostGrammarBytes);
  }
  if (!is_valid_utf8(text)) fail(ErrorCode::kUsage, "grammar: the text is not valid UTF-8");
  return Parser(text).parse();
}

}  // namespace windlass

// The `pattern` of a JSON schema: a regular expression over the string's characters, made into an
// expression over its JSON text.
#include "src/base/error.h"
#include "src/text/grammar/json_text.h"
#include "src/text/utf8.h"

namespace windlass {
namespace {

constexpr int kMostNesting = 50;
constexpr std::int64_t kMostRepeats = 100000;

class PatternParser {
 public:
  PatternParser(std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {}

  // Each alternative may be anchored for itself; where it is not, anything may stand.
  Expression parse() {
    std::vector<Expression> choices;
    do {
      std::vector<Expression> parts;
      if (!take('^')) parts.push_back(Expression::repeat(json_any_character(), 0, -1));
      parts.push_back(sequence(0));
      if (!take('$')) parts.push_back(Expression::repeat(json_any_character(), 0, -1));
      choices.push_back(Expression::sequence(std::move(parts)));
    } while (take('|'));
    if (!at_end()) refuse("");
    return Expression::choice(std::move(choices));
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    fail(ErrorCode::kUsage, "{}: pattern {}: {} at character {} is not supported", where_, pattern_,
         !what.empty() ? what
         : at_end()    ? "the end"
                       : std::string(1, pattern_[position_]),
         position_);
  }
  bool at_end() const { return position_ >= pattern_.size(); }
  char peek() const { return at_end() ? '\0' : pattern_[position_]; }
  bool take(char c) {
    if (at_end() || peek() != c) return false;
    ++position_;
    return true;
  }

  Expression group(int depth) {
    if (depth > kMostNesting) refuse("deeper nesting");
    if (take('?') && !take(':')) refuse("(?");
    std::vector<Expression> choices;
    do choices.push_back(sequence(depth));
    while (take('|'));
    if (!take(')')) refuse("a group without )");
    return Expression::choice(std::move(choices));
  }

  Expression sequence(int depth) {
    std::vector<Expression> items;
    while (!at_end() && peek() != '|' && peek() != ')' && peek() != '$') {
      items.push_back(repetition(item(depth)));
    }
    return Expression::sequence(std::move(items));
  }

  Expression item(int depth) {
    if (take('(')) return group(depth + 1);
    if (take('[')) return character_class();
    if (take('.'))
      return json_character(negate_ranges({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}));
    if (std::string_view("^*+?{}]").find(peek()) != std::string_view::npos) refuse("");
    return json_character(character());
  }

  Expression repetition(Expression item) {
    std::int64_t least = 1, most = 1;
    if (take('*')) {
      least = 0, most = -1;
    } else if (take('+')) {
      most = -1;
    } else if (take('?')) {
      least = 0;
    } else if (take('{')) {
      least = most = count();
      if (take(',')) most = peek() == '}' ? -1 : count();
      if (!take('}') || (most >= 0 && most < least)) refuse("this repetition");
    } else {
      return item;
    }
    if (std::string_view("*+?{").find(peek()) != std::string_view::npos && !at_end())
      refuse("a lazy or doubled repetition");
    return Expression::repeat(std::move(item), least, most);
  }

  std::int64_t count() {
    std::int64_t value = 0;
    if (peek() < '0' || peek() > '9') refuse("this repetition");
    for (; peek() >= '0' && peek() <= '9'; ++position_) {
      value = 10 * value + (peek() - '0');
      if (value > kMostRepeats) refuse("so many repetitions");
    }
    return value;
  }

  Expression character_class() {
    const bool negated = take('^');
    std::vector<CodeRange> ranges;
    while (!take(']')) {
      if (at_end()) refuse("a class without ]");
      std::vector<CodeRange> part = character();
      const bool range = peek() == '-' && pattern_.substr(position_, 2) != "-]";
      if (range) {
        ++position_;
        if (at_end()) refuse("a class without ]");
        const std::vector<CodeRange> end = character();
        const bool single = part.size() == 1 && end.size() == 1 && part[0].first == part[0].last &&
                            end[0].first == end[0].last && part[0].first <= end[0].last;
        if (!single) refuse("this range");
        part[0].last = end[0].last;
      }
      ranges.insert(ranges.end(), part.begin(), part.end());
    }
    return json_character(negated ? negate_ranges(std::move(ranges))
                                  : merge_ranges(std::move(ranges)));
  }

  // One character, or the set that an escape stands for. REQUIRES: not at the end.
  std::vector<CodeRange> character() {
    if (take('\\')) return escape();
    const CodePoint point = next_code_point(pattern_.substr(position_));
    position_ += point.size_bytes;
    return {{point.value, point.value}};
  }

  std::vector<CodeRange> escape() {
    static const std::vector<CodeRange> kDigit = {{'0', '9'}};
    static const std::vector<CodeRange> kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    static const std::vector<CodeRange> kSpace = {{'\t', '\r'}, {' ', ' '}};
    const char c = peek();
    if (at_end()) refuse("an escape at the end");
    if (const auto control = std::string_view("nrtfv").find(c); control != std::string_view::npos) {
      ++position_;
      const auto code = static_cast<std::int32_t>("\n\r\t\f\v"[control]);
      return {{code, code}};
    }
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter) return character_itself();
    if (std::string_view("dwsDWS").find(c) == std::string_view::npos) refuse(std::string("\\") + c);
    ++position_;
    const char kind = static_cast<char>(c | 0x20);
    const std::vector<CodeRange>& set = kind == 'd' ? kDigit : kind == 'w' ? kWord : kSpace;
    return kind == c ? set : negate_ranges(set);
  }

  std::vector<CodeRange> character_itself() {
    const CodePoint point = next_code_point(pattern_.substr(position_));
    position_ += point.size_bytes;
    return {{point.value, point.value}};
  }

  std::string_view pattern_;
  const std::string& where_;
  std::size_t position_ = 0;
};

}  // namespace

Expression json_pattern(std::string_view pattern, const std::string& where) {
  return PatternParser(pattern, where).parse();
}

}  // namespace windlass

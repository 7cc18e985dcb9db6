#include "src/text/jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/text/jinja/heap.h"
#include "src/text/jinja/string_literal.h"
#include "src/text/jinja/unicode.h"
#include "src/text/utf8.h"

namespace windlass::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// All newlines as \n, and the last one gone.
std::string normalised(std::string_view source) {
  std::string text;
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && source.substr(i, 2) != "\r\n") text += '\n';
    if (source[i] != '\r') text += source[i];
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalised(source)), rest_(source_) {}

  std::vector<Token> run() {
    while (!rest_.empty()) lex_data();
    push(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail_here(const std::string& message) const {
    throw SyntaxFailure{line_, false, message};
  }
  void push(TokenKind kind, std::string text) { tokens_.push_back({kind, line_, std::move(text)}); }
  void skip(std::size_t n) {
    line_ += static_cast<int>(
        std::count(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(n), '\n'));
    if (n > 0) after_newline_ = rest_[n - 1] == '\n';
    rest_.remove_prefix(n);
  }
  void skip_space() { skip(rest_.size() - strip(rest_, Side::kLeft).size()); }
  bool skip_if(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    skip(text.size());
    return true;
  }

  // Text up to the next tag, then the tag.
  void lex_data() {
    std::size_t at = rest_.find('{');
    while (at != std::string_view::npos && !is_tag_mark(at + 1)) at = rest_.find('{', at + 1);
    if (at == std::string_view::npos) {
      push(TokenKind::kData, std::string(rest_));
      return skip(rest_.size());
    }
    const char mark = rest_[at + 1];
    push_data(rest_.substr(0, at), at + 2, mark != '{');
    skip(at + 2);
    if (!rest_.empty() && (rest_[0] == '-' || rest_[0] == '+')) skip(1);
    if (mark == '#') return lex_comment();
    if (mark == '%' && lex_raw()) return;
    lex_tag(mark == '{');
  }

  bool is_tag_mark(std::size_t at) const {
    return at < rest_.size() && (rest_[at] == '{' || rest_[at] == '%' || rest_[at] == '#');
  }

  // What of `text` stays before a tag whose sign is at `sign`.
  void push_data(std::string_view text, std::size_t sign_at, bool is_block) {
    const char sign = sign_at < rest_.size() ? rest_[sign_at] : '\0';
    if (sign == '-') {
      text = strip(text, Side::kRight);
    } else if (sign != '+' && is_block) {
      const std::size_t line_begin = text.rfind('\n') + 1;  // 0 where there is none
      const bool at_line_start = line_begin > 0 || after_newline_;
      if (at_line_start && strip(text.substr(line_begin), Side::kLeft).empty())
        text = text.substr(0, line_begin);
    }
    if (!text.empty()) push(TokenKind::kData, std::string(text));
  }

  // The end of a block tag or comment, at its % or #. -: all white space goes with it.
  bool skip_end(std::string_view end) {
    if (rest_.starts_with('-') && rest_.substr(1).starts_with(end)) {
      skip(1 + end.size());
      skip_space();
      return true;
    }
    if (rest_.starts_with('+') && rest_.substr(1).starts_with(end)) {
      skip(1 + end.size());
      return true;
    }
    if (!skip_if(end)) return false;
    skip_if("\n");
    return true;
  }

  void lex_comment() {
    std::size_t end = rest_.find("#}");
    if (end == std::string_view::npos) fail_here("the end of a comment is missing: '#}'");
    if (end > 0 && (rest_[end - 1] == '-' || rest_[end - 1] == '+')) --end;
    skip(end);
    skip_end("#}");
  }

  // {% raw %}...{% endraw %}; false where this is another tag.
  bool lex_raw() {
    std::string_view after = strip(rest_, Side::kLeft);
    if (!after.starts_with("raw")) return false;
    after = strip(after.substr(3), Side::kLeft);
    const bool trims = after.starts_with("-%}");
    if (!trims && !after.starts_with("%}")) return false;
    skip(rest_.size() - after.size() + (trims ? 3 : 2));
    if (trims) skip_space();
    for (std::size_t at = rest_.find("{%"); at != std::string_view::npos;
         at = rest_.find("{%", at + 1)) {
      if (lex_raw_end(at)) return true;
    }
    fail_here("the end of 'raw' is missing: '{% endraw %}'");
  }

  bool lex_raw_end(std::size_t at) {
    std::string_view after = rest_.substr(at + 2);
    if (!after.empty() && (after[0] == '-' || after[0] == '+')) after.remove_prefix(1);
    after = strip(after, Side::kLeft);
    if (!after.starts_with("endraw")) return false;
    after = strip(after.substr(6), Side::kLeft);
    if (!after.starts_with("%}") && !after.starts_with("-%}") && !after.starts_with("+%}"))
      return false;
    push_data(rest_.substr(0, at), at + 2, true);
    skip(rest_.size() - after.size());
    return skip_end("%}");
  }

  void lex_tag(bool is_variable) {
    push(is_variable ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, "");
    std::string open;  // brackets that wait for their ends
    while (true) {
      skip_space();
      if (rest_.empty()) fail_here(fmt::format("the template ends inside a tag"));
      if (open.empty() && is_variable && lex_variable_end()) return;
      if (open.empty() && !is_variable && lex_block_end()) return;
      lex_expression_token(open);
    }
  }

  bool lex_variable_end() {
    const bool trims = rest_.starts_with("-}}");
    if (!trims && !rest_.starts_with("}}")) return false;
    push(TokenKind::kVariableEnd, "");
    skip(trims ? 3 : 2);
    if (trims) skip_space();
    return true;
  }

  bool lex_block_end() {
    const int line = line_;
    if (!skip_end("%}")) return false;
    tokens_.push_back({TokenKind::kBlockEnd, line, ""});
    return true;
  }

  void lex_expression_token(std::string& open) {
    const char c = rest_[0];
    if (is_digit(c)) return lex_number();
    if (c == '\'' || c == '"') return lex_string();
    if (const std::size_t n = name_length(); n > 0) {
      push(TokenKind::kName, std::string(rest_.substr(0, n)));
      return skip(n);
    }
    lex_operator(open);
  }

  std::size_t name_length() const {
    std::size_t n = 0;
    while (n < rest_.size()) {
      const CodePoint point = next_code_point(rest_.substr(n));
      if (point.value != '_' && !is_letter(point.value) && !is_decimal(point.value)) break;
      n += point.size_bytes;
    }
    return n;
  }

  // Digits with single underscores between them.
  std::size_t digits_end(std::size_t at, bool (*is_wanted)(char)) const {
    const auto wanted = [&](std::size_t i) { return i < rest_.size() && is_wanted(rest_[i]); };
    while (wanted(at) || (at < rest_.size() && rest_[at] == '_' && wanted(at + 1))) ++at;
    return at;
  }

  void push_number(TokenKind kind, std::size_t n) {
    push(kind, std::string(rest_.substr(0, n)));
    skip(n);
  }

  void lex_number() {
    const std::size_t digits = digits_end(0, is_digit);
    std::size_t end = digits;
    // x.0.5 is an element of an element, no float.
    const bool after_dot = !tokens_.empty() && tokens_.back().text == ".";
    if (!after_dot) {
      const auto digit_at = [&](std::size_t i) { return i < rest_.size() && is_digit(rest_[i]); };
      if (rest_.substr(end, 1) == "." && digit_at(end + 1)) end = digits_end(end + 1, is_digit);
      if (end < rest_.size() && (rest_[end] | 0x20) == 'e') {
        const bool sign = rest_.substr(end + 1, 1) == "-" || rest_.substr(end + 1, 1) == "+";
        const std::size_t begin = end + 1 + (sign ? 1 : 0);
        if (digit_at(begin)) end = digits_end(begin, is_digit);
      }
      if (end > digits) return push_number(TokenKind::kFloat, end);
    }
    push_number(TokenKind::kInteger, rest_[0] == '0' ? zero_literal_end() : digits);
  }

  // 0, 00, 0x1f, 0o17, 0b11
  std::size_t zero_literal_end() const {
    const char mark = rest_.size() > 1 ? static_cast<char>(rest_[1] | 0x20) : '\0';
    std::size_t end = 2;
    if (mark == 'x')
      end = digits_end(
          2, [](char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); });
    if (mark == 'o') end = digits_end(2, [](char c) { return c >= '0' && c <= '7'; });
    if (mark == 'b') end = digits_end(2, [](char c) { return c == '0' || c == '1'; });
    return end > 2 ? end : digits_end(0, [](char c) { return c == '0'; });
  }

  void lex_string() {
    const char quote = rest_[0];
    std::size_t end = 1;
    while (end < rest_.size() && rest_[end] != quote) end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) fail_here("a string has no end");
    try {
      push(TokenKind::kString, resolve_escapes(rest_.substr(1, end - 1)));
    } catch (const std::invalid_argument& error) {
      fail_here(error.what());
    }
    skip(end + 1);
  }

  void lex_operator(std::string& open) {
    constexpr std::string_view kLong[] = {"//", "**", "==", "!=", ">=", "<="};
    for (const std::string_view text : kLong) {
      if (!rest_.starts_with(text)) continue;
      push(TokenKind::kOperator, std::string(text));
      return skip(text.size());
    }
    const std::string_view text = first_code_point(rest_);
    if (text.size() > 1 ||
        std::string_view("+-/*%~[](){}><=.:|,;").find(text) == std::string_view::npos)
      fail_here(fmt::format("unexpected character '{}'", text));
    match_bracket(text[0], open);
    push(TokenKind::kOperator, std::string(text));
    skip(1);
  }

  void match_bracket(char c, std::string& open) const {
    if (c == '(') open += ')';
    if (c == '[') open += ']';
    if (c == '{') open += '}';
    if (c != ')' && c != ']' && c != '}') return;
    if (open.empty()) fail_here(fmt::format("unexpected '{}'", c));
    if (open.back() != c) fail_here(fmt::format("unexpected '{}', expected '{}'", c, open.back()));
    open.pop_back();
  }

  const std::string source_;
  std::string_view rest_;
  std::vector<Token> tokens_;
  int line_ = 1;
  bool after_newline_ = true;  // what was read last ended a line
};

}  // namespace

std::vector<Token> tokenize_template(std::string_view source) {
  if (static_cast<std::int64_t>(source.size()) > kMaxSourceBytes) {
    throw SyntaxFailure{
        1, true,
        fmt::format("a template of {} bytes; at most {} are read", source.size(), kMaxSourceBytes)};
  }
  if (!is_valid_utf8(source)) throw SyntaxFailure{1, false, "the template is not UTF-8"};
  return Lexer(source).run();
}

}  // namespace windlass::jinja

// The parser's view of the tokens: the current one, and what it must be.
#pragma once

#include <fmt/format.h>

#include <vector>

#include "src/text/jinja/lexer.h"

namespace windlass::jinja {

// Nesting of parentheses, brackets and blocks, and height of expressions: what parsing, evaluating
// and destroying recurse.
inline constexpr int kMaxNesting = 100;
inline constexpr int kMaxHeight = 200;

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& after() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  int line() const { return current().line; }
  int last_line() const { return at_ > 0 ? tokens_[at_ - 1].line : 1; }
  bool is(TokenKind kind) const { return current().kind == kind; }
  bool is_operator(std::string_view text) const {
    return is(TokenKind::kOperator) && current().text == text;
  }
  bool is_name(std::string_view text) const {
    return is(TokenKind::kName) && current().text == text;
  }

  Token take() {
    Token token = std::move(tokens_[at_]);
    // Moved from, but its kind and line stay: errors name them.
    if (token.kind != TokenKind::kEnd) ++at_;
    return token;
  }
  bool take_operator(std::string_view text) {
    if (!is_operator(text)) return false;
    ++at_;
    return true;
  }
  bool take_name(std::string_view text) {
    if (!is_name(text)) return false;
    ++at_;
    return true;
  }
  void expect_operator(std::string_view text) {
    if (!take_operator(text)) fail_expected(fmt::format("'{}'", text));
  }
  std::string expect_name(std::string_view what) {
    if (!is(TokenKind::kName)) fail_expected(what);
    return take().text;
  }
  void expect(TokenKind kind) {
    if (!is(kind)) fail_expected(kind == TokenKind::kVariableEnd ? "'}}'" : "'%}'");
    take();
  }

  [[noreturn]] void fail_expected(std::string_view what) const {
    fail(fmt::format("expected {}, found {}", what, describe(current())));
  }
  [[noreturn]] void fail(std::string message) const {
    throw SyntaxFailure{line(), false, std::move(message)};
  }
  [[noreturn]] void fail_unsupported(std::string message) const {
    throw SyntaxFailure{line(), true, std::move(message)};
  }

 private:
  static std::string describe(const Token& token) {
    switch (token.kind) {
      case TokenKind::kEnd:
        return "the end of the template";
      case TokenKind::kData:
        return "text";
      case TokenKind::kVariableBegin:
        return "'{{'";
      case TokenKind::kVariableEnd:
        return "'}}'";
      case TokenKind::kBlockBegin:
        return "'{%'";
      case TokenKind::kBlockEnd:
        return "'%}'";
      case TokenKind::kString:
        return "a string";
      default:
        return fmt::format("'{}'", token.text);
    }
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace windlass::jinja

// Template source to tokens. Here white space is settled: a newline after a block tag goes
// (trim_blocks), and so do blanks before one at the start of a line (lstrip_blocks), as chat
// templates are written for; - and + beside a tag say otherwise.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace windlass::jinja {

enum class TokenKind : std::uint8_t {
  kData,  // text between tags
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,  // without quotes, escapes resolved
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  int line;  // from 1
  std::string text;
};

// Where a template cannot be read. message: without the line.
struct SyntaxFailure {
  int line;
  bool unsupported;  // Jinja would read it
  std::string message;
};

// The last token is kEnd. Throws SyntaxFailure.
std::vector<Token> tokenize_template(std::string_view source);

}  // namespace windlass::jinja

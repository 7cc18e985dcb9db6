#include "src/text/jinja/expression_parser.h"

#include <algorithm>

#include "src/text/jinja/text_form.h"

namespace windlass::jinja {
namespace {

std::vector<ExprPtr> parts_of(ExprPtr a, ExprPtr b = nullptr, ExprPtr c = nullptr) {
  std::vector<ExprPtr> parts;
  parts.push_back(std::move(a));
  if (b || c) parts.push_back(std::move(b));
  if (c) parts.push_back(std::move(c));
  return parts;
}

// Counts how deep the parser is while it lives.
class Nesting {
 public:
  Nesting(int& depth, const TokenStream& tokens) : depth_(depth) {
    if (depth >= kMaxNesting)
      tokens.fail_unsupported(fmt::format("expressions are nested deeper than {}", kMaxNesting));
    ++depth_;
  }
  ~Nesting() { --depth_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  int& depth_;
};

}  // namespace

ExprPtr ExpressionParser::make(ExprKind kind, int line, std::vector<ExprPtr> parts) {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = line;
  for (const ExprPtr& part : parts) {
    if (part) expr->height = std::max(expr->height, part->height + 1);
  }
  if (expr->height > kMaxHeight)
    tokens_.fail_unsupported(fmt::format("an expression of more than {} levels", kMaxHeight));
  expr->parts = std::move(parts);
  return expr;
}

ExprPtr ExpressionParser::parse() {
  const Nesting nesting(nesting_, tokens_);
  ExprPtr value = parse_or();
  while (tokens_.is_name("if")) {
    const int line = tokens_.take().line;
    ExprPtr condition = parse_or();
    ExprPtr otherwise = tokens_.take_name("else") ? parse() : nullptr;
    value = make(ExprKind::kConditional, line,
                 parts_of(std::move(value), std::move(condition), std::move(otherwise)));
  }
  return value;
}

ExprPtr ExpressionParser::parse_no_conditional() { return parse_or(); }

bool ExpressionParser::at_tuple_end(std::string_view stop) const {
  return tokens_.is(TokenKind::kVariableEnd) || tokens_.is(TokenKind::kBlockEnd) ||
         tokens_.is_operator(")") || (!stop.empty() && tokens_.is_name(stop));
}

ExprPtr ExpressionParser::parse_tuple(bool conditional, std::string_view stop) {
  const int line = tokens_.line();
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (!at_tuple_end(stop)) {
    items.push_back(conditional ? parse() : parse_no_conditional());
    if (!tokens_.take_operator(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return make(ExprKind::kTuple, line, std::move(items));
  if (items.empty()) tokens_.fail_expected("an expression");
  return std::move(items[0]);
}

ExprPtr ExpressionParser::parse_or() {
  ExprPtr left = parse_and();
  while (tokens_.is_name("or")) {
    const int line = tokens_.take().line;
    left = make(ExprKind::kOr, line, parts_of(std::move(left), parse_and()));
  }
  return left;
}

ExprPtr ExpressionParser::parse_and() {
  ExprPtr left = parse_not();
  while (tokens_.is_name("and")) {
    const int line = tokens_.take().line;
    left = make(ExprKind::kAnd, line, parts_of(std::move(left), parse_not()));
  }
  return left;
}

ExprPtr ExpressionParser::parse_not() {
  if (!tokens_.is_name("not")) return parse_compare();
  const Nesting nesting(nesting_, tokens_);
  const int line = tokens_.take().line;
  return make(ExprKind::kNot, line, parts_of(parse_not()));
}

bool ExpressionParser::take_comparison(Comparison& comparison) {
  constexpr std::pair<std::string_view, Comparison> kOperators[] = {
      {"==", Comparison::kEq}, {"!=", Comparison::kNe}, {"<", Comparison::kLt},
      {"<=", Comparison::kLe}, {">", Comparison::kGt},  {">=", Comparison::kGe}};
  for (const auto& [text, meaning] : kOperators) {
    if (!tokens_.take_operator(text)) continue;
    comparison = meaning;
    return true;
  }
  const bool is_not = tokens_.is_name("not") && tokens_.after().kind == TokenKind::kName &&
                      tokens_.after().text == "in";
  if (is_not) tokens_.take();
  if (!tokens_.take_name("in")) return false;
  comparison = is_not ? Comparison::kNotIn : Comparison::kIn;
  return true;
}

ExprPtr ExpressionParser::parse_compare() {
  const int line = tokens_.line();
  ExprPtr first = parse_sum();
  std::vector<Comparison> operators;
  std::vector<ExprPtr> parts;
  parts.push_back(std::move(first));
  for (Comparison comparison; take_comparison(comparison);) {
    operators.push_back(comparison);
    parts.push_back(parse_sum());
  }
  if (operators.empty()) return std::move(parts[0]);
  ExprPtr compare = make(ExprKind::kCompare, line, std::move(parts));
  compare->operators = std::move(operators);
  return compare;
}

ExprPtr ExpressionParser::parse_sum() {
  ExprPtr left = parse_concat();
  while (tokens_.is_operator("+") || tokens_.is_operator("-")) {
    Token sign = tokens_.take();
    left = make(ExprKind::kArithmetic, sign.line, parts_of(std::move(left), parse_concat()));
    left->name = std::move(sign.text);
  }
  return left;
}

ExprPtr ExpressionParser::parse_concat() {
  const int line = tokens_.line();
  std::vector<ExprPtr> parts;
  parts.push_back(parse_product());
  while (tokens_.take_operator("~")) parts.push_back(parse_product());
  if (parts.size() == 1) return std::move(parts[0]);
  return make(ExprKind::kConcat, line, std::move(parts));
}

ExprPtr ExpressionParser::parse_product() {
  ExprPtr left = parse_power();
  while (tokens_.is_operator("*") || tokens_.is_operator("/") || tokens_.is_operator("//") ||
         tokens_.is_operator("%")) {
    Token sign = tokens_.take();
    left = make(ExprKind::kArithmetic, sign.line, parts_of(std::move(left), parse_power()));
    left->name = std::move(sign.text);
  }
  return left;
}

ExprPtr ExpressionParser::parse_power() {
  ExprPtr left = parse_unary(true);
  while (tokens_.is_operator("**")) {
    Token sign = tokens_.take();
    left = make(ExprKind::kArithmetic, sign.line, parts_of(std::move(left), parse_unary(true)));
    left->name = std::move(sign.text);
  }
  return left;
}

ExprPtr ExpressionParser::parse_unary(bool with_filters) {
  ExprPtr value;
  if (tokens_.is_operator("-") || tokens_.is_operator("+")) {
    const Nesting nesting(nesting_, tokens_);
    const Token sign = tokens_.take();
    value = make(sign.text == "-" ? ExprKind::kNegate : ExprKind::kPlus, sign.line,
                 parts_of(parse_unary(false)));
  } else {
    value = parse_primary();
  }
  value = parse_postfix(std::move(value));
  return with_filters ? parse_filters_and_tests(std::move(value)) : std::move(value);
}

ExprPtr ExpressionParser::parse_primary() {
  const int line = tokens_.line();
  switch (tokens_.current().kind) {
    case TokenKind::kName:
      return parse_name();
    case TokenKind::kString:
      return parse_strings();
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return parse_number();
    default:
      break;
  }
  const Nesting nesting(nesting_, tokens_);
  if (tokens_.take_operator("(")) {
    if (tokens_.take_operator(")")) return make(ExprKind::kTuple, line);
    ExprPtr value = parse_tuple(true);
    tokens_.expect_operator(")");
    return value;
  }
  if (tokens_.is_operator("[")) return parse_list();
  if (tokens_.is_operator("{")) return parse_dict();
  tokens_.fail_expected("an expression");
}

ExprPtr ExpressionParser::parse_name() {
  Token token = tokens_.take();
  const std::string& name = token.text;
  ExprPtr expr = make(ExprKind::kConstant, token.line);
  if (name == "true" || name == "True") {
    expr->value = Value::boolean(true);
  } else if (name == "false" || name == "False") {
    expr->value = Value::boolean(false);
  } else if (name == "none" || name == "None") {
    expr->value = Value::none();
  } else {
    special_names.caller |= name == "caller";
    special_names.varargs |= name == "varargs";
    special_names.kwargs |= name == "kwargs";
    expr->kind = ExprKind::kName;
    expr->name = std::move(token.text);
  }
  return expr;
}

ExprPtr ExpressionParser::parse_strings() {
  const int line = tokens_.line();
  std::string text;
  while (tokens_.is(TokenKind::kString)) text += tokens_.take().text;
  ExprPtr expr = make(ExprKind::kConstant, line);
  expr->value = Value::string(nullptr, std::move(text));
  return expr;
}

ExprPtr ExpressionParser::parse_number() {
  const bool is_integer = tokens_.is(TokenKind::kInteger);
  ExprPtr expr = make(ExprKind::kConstant, tokens_.line());
  const std::string& text = tokens_.current().text;
  if (is_integer) {
    const char mark = text.size() > 2 ? static_cast<char>(text[1] | 0x20) : '\0';
    const int base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
    try {
      expr->value = Value::integer(parse_int(text, base).value());
    } catch (const Failure& failure) {
      tokens_.fail_unsupported(failure.message);
    }
  } else {
    expr->value = Value::real(parse_float(text).value());
  }
  tokens_.take();
  return expr;
}

ExprPtr ExpressionParser::parse_list() {
  const int line = tokens_.take().line;
  std::vector<ExprPtr> items;
  while (!tokens_.is_operator("]")) {
    if (!items.empty()) tokens_.expect_operator(",");
    if (tokens_.is_operator("]")) break;
    items.push_back(parse());
  }
  tokens_.expect_operator("]");
  return make(ExprKind::kList, line, std::move(items));
}

ExprPtr ExpressionParser::parse_dict() {
  const int line = tokens_.take().line;
  std::vector<ExprPtr> items;
  while (!tokens_.is_operator("}")) {
    if (!items.empty()) tokens_.expect_operator(",");
    if (tokens_.is_operator("}")) break;
    items.push_back(parse());
    tokens_.expect_operator(":");
    items.push_back(parse());
  }
  tokens_.expect_operator("}");
  return make(ExprKind::kDict, line, std::move(items));
}

}  // namespace windlass::jinja

// What follows a value: attributes, subscripts, calls, filters and tests.
#include <algorithm>

#include "src/text/jinja/expression_parser.h"
#include "src/text/jinja/text_form.h"

namespace windlass::jinja {
namespace {

std::vector<ExprPtr> only(ExprPtr part) {
  std::vector<ExprPtr> parts;
  parts.push_back(std::move(part));
  return parts;
}

}  // namespace

ExprPtr ExpressionParser::parse_postfix(ExprPtr value) {
  while (true) {
    if (tokens_.is_operator(".")) {
      value = parse_attribute(std::move(value));
    } else if (tokens_.is_operator("[")) {
      value = parse_subscript(std::move(value));
    } else if (tokens_.is_operator("(")) {
      value = parse_call(std::move(value));
    } else {
      return value;
    }
  }
}

ExprPtr ExpressionParser::parse_attribute(ExprPtr value) {
  const int line = tokens_.take().line;
  if (tokens_.is(TokenKind::kInteger)) {  // x.0
    std::vector<ExprPtr> parts = only(std::move(value));
    parts.push_back(parse_number());
    return make(ExprKind::kItem, line, std::move(parts));
  }
  ExprPtr attribute = make(ExprKind::kAttribute, line, only(std::move(value)));
  attribute->name = tokens_.expect_name("a name or number after '.'");
  return attribute;
}

ExprPtr ExpressionParser::parse_subscript(ExprPtr value) {
  tokens_.take();
  ExprPtr subscript = parse_subscribed(std::move(value));
  if (tokens_.is_operator(",")) tokens_.fail_unsupported("subscripts of several parts");
  tokens_.expect_operator("]");
  return subscript;
}

// [index] or [start:stop:step], each part of which may be left out.
ExprPtr ExpressionParser::parse_subscribed(ExprPtr value) {
  const int line = tokens_.line();
  std::vector<ExprPtr> parts = only(std::move(value));
  const auto parse_bound = [&] {
    const bool empty = tokens_.is_operator(":") || tokens_.is_operator("]");
    parts.push_back(empty ? nullptr : parse());
  };
  if (tokens_.is_operator("]")) tokens_.fail_expected("an index");
  parse_bound();
  if (!tokens_.is_operator(":")) return make(ExprKind::kItem, line, std::move(parts));
  for (int i = 0; i < 2; ++i) {
    if (tokens_.take_operator(":")) {
      parse_bound();
    } else {
      parts.push_back(nullptr);
    }
  }
  return make(ExprKind::kSlice, line, std::move(parts));
}

void ExpressionParser::add_arguments(Expr& expr, std::vector<Argument> arguments) {
  for (const Argument& argument : arguments)
    expr.height = std::max(expr.height, argument.value->height + 1);
  if (expr.height > kMaxHeight)
    tokens_.fail_unsupported(fmt::format("an expression of more than {} levels", kMaxHeight));
  expr.arguments = std::move(arguments);
}

std::vector<Argument> ExpressionParser::parse_arguments() {
  std::vector<Argument> arguments;
  bool only_named = false;
  tokens_.expect_operator("(");
  while (!tokens_.is_operator(")")) {
    if (!arguments.empty()) tokens_.expect_operator(",");
    if (tokens_.is_operator(")")) break;
    Argument argument;
    if (tokens_.take_operator("*")) {
      argument.form = Argument::Form::kSpread;
    } else if (tokens_.take_operator("**")) {
      argument.form = Argument::Form::kSpreadNamed;
    } else if (tokens_.is(TokenKind::kName) && tokens_.after().kind == TokenKind::kOperator &&
               tokens_.after().text == "=") {
      argument.form = Argument::Form::kNamed;
      argument.name = tokens_.take().text;
      tokens_.take();
    } else if (only_named) {
      tokens_.fail("an argument by position after one by name");
    }
    only_named |= argument.form != Argument::Form::kPositional;
    argument.value = parse();
    arguments.push_back(std::move(argument));
  }
  tokens_.expect_operator(")");
  return arguments;
}

ExprPtr ExpressionParser::parse_call(ExprPtr callee) {
  ExprPtr call = make(ExprKind::kCall, tokens_.line(), only(std::move(callee)));
  add_arguments(*call, parse_arguments());
  return call;
}

ExprPtr ExpressionParser::parse_filters_and_tests(ExprPtr value) {
  while (true) {
    if (tokens_.is_operator("|")) {
      tokens_.take();
      value = parse_filter(std::move(value));
    } else if (tokens_.is_name("is")) {
      value = parse_test(std::move(value));
    } else if (tokens_.is_operator("(")) {
      value = parse_call(std::move(value));
    } else {
      return value;
    }
  }
}

ExprPtr ExpressionParser::parse_filters(ExprPtr value) {
  value = parse_filter(std::move(value));
  while (tokens_.take_operator("|")) value = parse_filter(std::move(value));
  return value;
}

std::string ExpressionParser::parse_dotted_name(std::string_view what) {
  std::string name = tokens_.expect_name(what);
  while (tokens_.take_operator(".")) {
    name += '.';
    name += tokens_.expect_name(what);
  }
  return name;
}

ExprPtr ExpressionParser::parse_filter(ExprPtr value) {
  ExprPtr filter = make(ExprKind::kFilter, tokens_.line(), only(std::move(value)));
  filter->name = parse_dotted_name("the name of a filter");
  if (tokens_.is_operator("(")) add_arguments(*filter, parse_arguments());
  return filter;
}

ExprPtr ExpressionParser::parse_test(ExprPtr value) {
  const int line = tokens_.take().line;
  const bool negated = tokens_.take_name("not");
  ExprPtr test = make(ExprKind::kTest, line, only(std::move(value)));
  test->name = parse_dotted_name("the name of a test");
  const bool may_begin_argument = tokens_.is(TokenKind::kName) || tokens_.is(TokenKind::kString) ||
                                  tokens_.is(TokenKind::kInteger) ||
                                  tokens_.is(TokenKind::kFloat) || tokens_.is_operator("[") ||
                                  tokens_.is_operator("{");
  if (tokens_.is_operator("(")) {
    add_arguments(*test, parse_arguments());
  } else if (may_begin_argument && !tokens_.is_name("else") && !tokens_.is_name("or") &&
             !tokens_.is_name("and")) {  // x is divisibleby 3
    if (tokens_.is_name("is")) tokens_.fail("tests cannot be chained with 'is'");
    std::vector<Argument> arguments(1);
    arguments[0].value = parse_postfix(parse_primary());
    add_arguments(*test, std::move(arguments));
  }
  return negated ? make(ExprKind::kNot, line, only(std::move(test))) : std::move(test);
}

}  // namespace windlass::jinja

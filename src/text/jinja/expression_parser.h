// Expressions, by Jinja's precedences: if-else, or, and, not, comparisons, + and -, ~, * / // %,
// **, unary signs, then filters and tests, which bind tightest.
#pragma once

#include "src/text/jinja/ast.h"
#include "src/text/jinja/token_stream.h"

namespace windlass::jinja {

// Throws SyntaxFailure.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  ExprPtr parse();                 // with if-else
  ExprPtr parse_no_conditional();  // what for and if take: a following `if` is not its own
  // One expression, or several between commas: a tuple. stop: a name that may end it.
  ExprPtr parse_tuple(bool conditional, std::string_view stop = {});
  std::vector<Argument> parse_arguments();
  // trim | upper(...): kFilter nodes over `value`, which is null for a block's text.
  ExprPtr parse_filters(ExprPtr value);

  // Of names read since, whether these were among them: a macro takes what its body names.
  struct SpecialNames {
    bool caller = false, varargs = false, kwargs = false;
  };
  SpecialNames special_names;

 private:
  ExprPtr make(ExprKind kind, int line, std::vector<ExprPtr> parts = {});
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  bool take_comparison(Comparison& comparison);
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filters);
  ExprPtr parse_primary();
  ExprPtr parse_name();
  ExprPtr parse_strings();
  ExprPtr parse_number();
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr value);
  ExprPtr parse_attribute(ExprPtr value);
  ExprPtr parse_subscript(ExprPtr value);
  ExprPtr parse_subscribed(ExprPtr value);
  ExprPtr parse_call(ExprPtr callee);
  ExprPtr parse_filters_and_tests(ExprPtr value);
  ExprPtr parse_filter(ExprPtr value);
  ExprPtr parse_test(ExprPtr value);
  void add_arguments(Expr& expr, std::vector<Argument> arguments);
  std::string parse_dotted_name(std::string_view what);
  bool at_tuple_end(std::string_view stop) const;

  TokenStream& tokens_;
  int nesting_ = 0;
};

}  // namespace windlass::jinja

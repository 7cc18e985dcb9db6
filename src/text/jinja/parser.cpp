// Statements.
#include "src/text/jinja/parser.h"

#include <initializer_list>

#include "src/text/jinja/expression_parser.h"
#include "src/text/jinja/lexer.h"
#include "src/text/jinja/token_stream.h"

namespace windlass::jinja {
namespace {

using Ends = std::initializer_list<std::string_view>;

class Parser {
 public:
  explicit Parser(std::string_view source)
      : tokens_(tokenize_template(source)), expressions_(tokens_) {}

  Body parse() { return parse_body({}); }

 private:
  // Up to a tag of one of `ends`, whose name is then current; up to the template's end without any.
  Body parse_body(Ends ends) {
    if (++nesting_ > kMaxNesting)
      tokens_.fail_unsupported(fmt::format("blocks are nested deeper than {}", kMaxNesting));
    const int begin = tokens_.last_line();
    Body body;
    while (!at_end_tag(ends)) {
      if (tokens_.is(TokenKind::kEnd)) {
        if (ends.size() == 0) break;
        throw SyntaxFailure{
            begin, false, fmt::format("the block that begins here has no '{}'", *(ends.end() - 1))};
      }
      body.push_back(parse_element());
    }
    --nesting_;
    return body;
  }

  // Steps into the tag when it is one.
  bool at_end_tag(Ends ends) {
    if (!tokens_.is(TokenKind::kBlockBegin) || tokens_.after().kind != TokenKind::kName)
      return false;
    for (const std::string_view end : ends) {
      if (tokens_.after().text != end) continue;
      tokens_.take();
      return true;
    }
    return false;
  }

  void end_tag() {
    tokens_.take();
    tokens_.expect(TokenKind::kBlockEnd);
  }

  Statement parse_element() {
    const int line = tokens_.line();
    if (tokens_.is(TokenKind::kData)) return {line, TextNode{tokens_.take().text}};
    const bool is_block = tokens_.is(TokenKind::kBlockBegin);
    tokens_.take();
    if (is_block) {
      Statement statement = parse_statement();
      tokens_.expect(TokenKind::kBlockEnd);
      return statement;
    }
    ExprPtr value = expressions_.parse_tuple(true);
    tokens_.expect(TokenKind::kVariableEnd);
    return {line, PrintNode{std::move(value)}};
  }

  // A tag up to (not with) the '%}' of its last part.
  Statement parse_statement() {
    const int line = tokens_.line();
    if (!tokens_.is(TokenKind::kName)) tokens_.fail_expected("the name of a tag");
    const std::string name = tokens_.current().text;
    struct Row {
      std::string_view name;
      Statement (Parser::*parse)(int line);
    };
    constexpr Row kRows[] = {{"for", &Parser::parse_for},
                             {"if", &Parser::parse_if},
                             {"set", &Parser::parse_set},
                             {"macro", &Parser::parse_macro},
                             {"call", &Parser::parse_call},
                             {"filter", &Parser::parse_filter},
                             {"with", &Parser::parse_with},
                             {"print", &Parser::parse_print},
                             {"break", &Parser::parse_control},
                             {"continue", &Parser::parse_control},
                             {"generation", &Parser::parse_generation}};
    for (const Row& row : kRows) {
      if (row.name == name) return (this->*row.parse)(line);
    }
    for (const std::string_view known :
         {"include", "import", "from", "extends", "block", "autoescape", "do", "debug", "trans"}) {
      if (name == known)
        tokens_.fail_unsupported(fmt::format("the tag '{}' is not supported", name));
    }
    tokens_.fail(fmt::format("unknown tag '{}'", name));
  }

  Target parse_target(bool may_be_attribute) {
    const auto one = [&]() -> Target {
      if (!tokens_.take_operator("(")) return {tokens_.expect_name("a name to assign to"), "", {}};
      if (++nesting_ > kMaxNesting) tokens_.fail_unsupported("targets are nested too deep");
      Target inner = parse_target(false);
      --nesting_;
      tokens_.expect_operator(")");
      return inner;
    };
    Target first = one();
    if (may_be_attribute && tokens_.take_operator(".")) {
      first.attribute = tokens_.expect_name("an attribute");
      return first;
    }
    if (!tokens_.is_operator(",")) return check_target(std::move(first));
    Target several;
    several.targets.push_back(check_target(std::move(first)));
    while (tokens_.take_operator(",")) {
      if (!tokens_.is(TokenKind::kName) && !tokens_.is_operator("(")) break;
      if (tokens_.is_name("in")) break;
      several.targets.push_back(check_target(one()));
    }
    return several;
  }

  Target check_target(Target target) const {
    for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
      if (target.name == constant) tokens_.fail(fmt::format("cannot assign to '{}'", constant));
    }
    return target;
  }

  Statement parse_for(int line) {
    tokens_.take();
    ForNode node;
    node.target = parse_target(false);
    if (!tokens_.take_name("in")) tokens_.fail_expected("'in'");
    node.sequence = expressions_.parse_tuple(false, "recursive");
    if (tokens_.take_name("if")) node.condition = expressions_.parse();
    node.recursive = tokens_.take_name("recursive");
    tokens_.expect(TokenKind::kBlockEnd);
    ++loops_;
    node.body = parse_body({"else", "endfor"});
    --loops_;
    if (tokens_.is_name("else")) {
      end_tag();
      node.otherwise = parse_body({"endfor"});
    }
    tokens_.take();
    return {line, std::move(node)};
  }

  Statement parse_if(int line) {
    IfNode node;
    while (!tokens_.is_name("endif")) {
      IfNode::Branch branch;
      const bool is_else = tokens_.is_name("else");
      tokens_.take();
      if (!is_else) branch.condition = expressions_.parse_tuple(false);
      tokens_.expect(TokenKind::kBlockEnd);
      branch.body = is_else ? parse_body({"endif"}) : parse_body({"elif", "else", "endif"});
      node.branches.push_back(std::move(branch));
    }
    tokens_.take();
    return {line, std::move(node)};
  }

  Statement parse_set(int line) {
    tokens_.take();
    Target target = parse_target(true);
    if (tokens_.take_operator("=")) {
      return {line, SetNode{std::move(target), expressions_.parse_tuple(true)}};
    }
    SetBlockNode node;
    node.target = std::move(target);
    if (tokens_.take_operator("|")) node.filter = expressions_.parse_filters(nullptr);
    tokens_.expect(TokenKind::kBlockEnd);
    node.body = parse_inner_body("endset");
    return {line, std::move(node)};
  }

  // Of a block that is no loop, even inside of one; ends after the name of its end.
  Body parse_inner_body(std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    Body body = parse_body({end});
    loops_ = loops;
    tokens_.take();
    return body;
  }

  void parse_parameters(MacroNode& macro) {
    tokens_.expect_operator("(");
    while (!tokens_.is_operator(")")) {
      if (!macro.parameters.empty()) tokens_.expect_operator(",");
      Parameter parameter;
      parameter.name = tokens_.expect_name("the name of a parameter");
      if (tokens_.take_operator("=")) {
        parameter.otherwise = expressions_.parse();
      } else if (!macro.parameters.empty() && macro.parameters.back().otherwise) {
        tokens_.fail("a parameter without a default after one with");
      }
      macro.parameters.push_back(std::move(parameter));
    }
    tokens_.expect_operator(")");
  }

  void parse_macro_body(MacroNode& macro, std::string_view end) {
    const auto outer = std::exchange(expressions_.special_names, {});
    macro.body = parse_inner_body(end);
    macro.uses_caller = expressions_.special_names.caller;
    macro.uses_varargs = expressions_.special_names.varargs;
    macro.uses_kwargs = expressions_.special_names.kwargs;
    // What is named within a macro's macro counts for both.
    expressions_.special_names.caller |= outer.caller;
    expressions_.special_names.varargs |= outer.varargs;
    expressions_.special_names.kwargs |= outer.kwargs;
  }

  Statement parse_macro(int line) {
    tokens_.take();
    MacroNode node;
    node.name = tokens_.expect_name("the name of the macro");
    parse_parameters(node);
    tokens_.expect(TokenKind::kBlockEnd);
    parse_macro_body(node, "endmacro");
    return {line, std::move(node)};
  }

  Statement parse_call(int line) {
    tokens_.take();
    CallNode node;
    node.caller.name = "caller";
    if (tokens_.is_operator("(")) parse_parameters(node.caller);
    node.call = expressions_.parse();
    if (node.call->kind != ExprKind::kCall) tokens_.fail("'call' wants a call");
    tokens_.expect(TokenKind::kBlockEnd);
    parse_macro_body(node.caller, "endcall");
    return {line, std::move(node)};
  }

  Statement parse_filter(int line) {
    tokens_.take();
    FilterNode node;
    node.filter = expressions_.parse_filters(nullptr);
    tokens_.expect(TokenKind::kBlockEnd);
    node.body = parse_inner_body("endfilter");
    return {line, std::move(node)};
  }

  Statement parse_with(int line) {
    tokens_.take();
    WithNode node;
    while (!tokens_.is(TokenKind::kBlockEnd)) {
      if (!node.variables.empty()) tokens_.expect_operator(",");
      Target target{tokens_.expect_name("a name to assign to"), "", {}};
      tokens_.expect_operator("=");
      node.variables.emplace_back(std::move(target), expressions_.parse());
    }
    tokens_.expect(TokenKind::kBlockEnd);
    node.body = parse_body({"endwith"});
    tokens_.take();
    return {line, std::move(node)};
  }

  Statement parse_print(int line) {
    tokens_.take();
    return {line, PrintNode{expressions_.parse_tuple(true)}};
  }

  Statement parse_control(int line) {
    const std::string name = tokens_.take().text;
    if (loops_ == 0) tokens_.fail(fmt::format("'{}' outside of a loop", name));
    return {line, LoopControlNode{name == "break"}};
  }

  // {% generation %}, which marks what an assistant wrote for training, shows its body.
  Statement parse_generation(int line) {
    tokens_.take();
    tokens_.expect(TokenKind::kBlockEnd);
    WithNode node;
    node.body = parse_inner_body("endgeneration");
    return {line, std::move(node)};
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int nesting_ = 0;
  int loops_ = 0;  // around, up to the next macro or the like
};

}  // namespace

Body parse_template(std::string_view source) { return Parser(source).parse(); }

}  // namespace windlass::jinja

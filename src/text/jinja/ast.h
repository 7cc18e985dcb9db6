// A parsed template. Immutable; shared by renderings, which may run at the same time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "src/text/jinja/value.h"

namespace windlass::jinja {

enum class ExprKind : std::uint8_t {
  kConstant,   // value
  kName,       // name
  kList,       // parts
  kTuple,      // parts
  kDict,       // parts: key, value, key, value, ...
  kAttribute,  // parts[0] . name
  kItem,       // parts[0] [ parts[1] ]
  kSlice,      // parts[0] [ parts[1] : parts[2] : parts[3] ], the last three may be null
  kCall,       // parts[0] ( arguments )
  kFilter,     // parts[0] | name ( arguments ); parts[0] null in {% filter %}: the text of the body
  kTest,       // parts[0] is name ( arguments )
  kNot,        // parts[0]
  kNegate,     // parts[0]
  kPlus,       // parts[0]
  kAnd,        // parts[0], parts[1]
  kOr,         // parts[0], parts[1]
  kArithmetic,   // parts[0] name parts[1], name one of + - * / // % **
  kConcat,       // parts joined as text
  kCompare,      // parts[0] operators[0] parts[1] operators[1] ...
  kConditional,  // parts[0] if parts[1] else parts[2], the last may be null
};

enum class Comparison : std::uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kIn, kNotIn };

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Argument {
  enum class Form : std::uint8_t { kPositional, kNamed, kSpread, kSpreadNamed };
  Form form = Form::kPositional;
  std::string name;
  ExprPtr value;
};

struct Expr {
  ExprKind kind;
  int line;
  int height = 1;  // of the tree below: what evaluating and destroying it recurse
  std::string name;
  Value value;
  std::vector<ExprPtr> parts;
  std::vector<Argument> arguments;
  std::vector<Comparison> operators;
};

// What is assigned to: a name, an attribute of a namespace, or several targets.
struct Target {
  std::string name;
  std::string attribute;        // of the namespace `name`; empty: none
  std::vector<Target> targets;  // not empty: unpacked
};

struct Statement;
using Body = std::vector<Statement>;

struct Parameter {
  std::string name;
  ExprPtr otherwise;  // null: undefined when not given
};

struct TextNode {
  std::string text;
};
struct PrintNode {
  ExprPtr value;
};
struct IfNode {
  struct Branch {
    ExprPtr condition;  // null: else
    Body body;
  };
  std::vector<Branch> branches;
};
struct ForNode {
  Target target;
  ExprPtr sequence;
  ExprPtr condition;  // null: none
  bool recursive = false;
  Body body, otherwise;
};
struct SetNode {
  Target target;
  ExprPtr value;
};
struct SetBlockNode {
  Target target;
  ExprPtr filter;  // null: none
  Body body;
};
// A macro, or what a call block gives as caller().
struct MacroNode {
  std::string name;
  std::vector<Parameter> parameters;
  // Which of these its body names.
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
  Body body;
};
struct CallNode {
  ExprPtr call;  // kCall
  MacroNode caller;
};
struct FilterNode {
  ExprPtr filter;
  Body body;
};
struct WithNode {
  std::vector<std::pair<Target, ExprPtr>> variables;
  Body body;
};
struct LoopControlNode {
  bool is_break;
};

struct Statement {
  int line;
  std::variant<TextNode, PrintNode, IfNode, ForNode, SetNode, SetBlockNode, MacroNode, CallNode,
               FilterNode, WithNode, LoopControlNode>
      node;
};

}  // namespace windlass::jinja

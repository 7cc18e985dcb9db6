// Runs a template's tree. Owner-thread; one object renders once.
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "src/text/jinja/arguments.h"
#include "src/text/jinja/ast.h"
#include "src/text/jinja/sequence.h"
#include "src/text/jinja/value.h"

namespace windlass::jinja {

// Names visible at a place: its own, then its parent's.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> outer) : parent(std::move(outer)) {}
  const Value* find(const std::string& name) const;

  std::shared_ptr<Scope> parent;
  std::unordered_map<std::string, Value> names;
};

// A callable value.
class Function : public Object {
 public:
  using Object::Object;
  virtual Value call(Interpreter& interpreter, const Arguments& arguments) = 0;
};

class Loop;

class Interpreter {
 public:
  Interpreter(Heap& heap, std::time_t now);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  void define(const std::string& name, Value value);
  // Throws Failure; line() is where it happened.
  std::string render(const Body& body);
  int line() const { return line_; }

  // For built-ins.
  Heap& heap() { return heap_; }
  std::time_t now() const { return now_; }
  Value string(std::string text) { return Value::string(&heap_, std::move(text)); }
  Value call(const Value& callee, const Arguments& arguments);
  Value filter(std::string_view name, const Value& value, const Arguments& arguments);
  bool test(std::string_view name, const Value& value, const Arguments& arguments);
  // value.name, which looks for attributes first, and value[key], which looks for elements first.
  Value attribute(const Value& value, const std::string& name);
  Value item(const Value& value, const Value& key);
  // What a path such as "function.name" or 0 leads to from the value. Where an element on the way
  // is undefined, `otherwise` takes its place if given.
  Value path(Value value, const Value& path, const Value* otherwise = nullptr);
  // Keeps an object that may come to hold itself; it is emptied when the rendering ends.
  Value make_namespace(std::unordered_map<std::string, Value> attributes);

  // For macros and recursive loops.
  std::string run_macro(const MacroNode& macro, const std::shared_ptr<Scope>& scope);
  Value evaluate_in(const Expr& expr, const std::shared_ptr<Scope>& scope);
  std::string run_loop(const ForNode& node, const Value& sequence, std::shared_ptr<Scope> scope,
                       std::int64_t depth);

 private:
  enum class Flow : std::uint8_t { kNext, kBreak, kContinue };
  class Nesting;

  // Statements (statements.cpp).
  Flow run(const Body& body);
  Flow run(const Statement& statement);
  Flow run(const TextNode& node);
  Flow run(const PrintNode& node);
  Flow run(const IfNode& node);
  Flow run(const ForNode& node);
  Flow run(const SetNode& node);
  Flow run(const SetBlockNode& node);
  Flow run(const MacroNode& node);
  Flow run(const CallNode& node);
  Flow run(const FilterNode& node);
  Flow run(const WithNode& node);
  Flow run(const LoopControlNode& node);
  void iterate_loop(const ForNode& node, const Value& sequence, std::int64_t depth);
  Flow run_iteration(const ForNode& node, const Value& element, const Value& loop);
  std::shared_ptr<Iterator> filtered(const ForNode& node, std::shared_ptr<Iterator> source);
  // What the body prints, from a scope of its own.
  std::string capture(const Body& body);
  void assign(const Target& target, const Value& value);
  void assign_attribute(const Target& target, const Value& value);
  Value make_macro(const MacroNode& node);

  // Expressions (evaluate.cpp).
  Value evaluate(const Expr& expr);
  Value evaluate_node(const Expr& expr);
  Value evaluate_name(const Expr& expr);
  Values evaluate_all(const std::vector<ExprPtr>& parts);
  Value evaluate_dict(const Expr& expr);
  Value evaluate_slice(const Expr& expr);
  Value evaluate_compare(const Expr& expr);
  bool compare(Comparison comparison, const Value& a, const Value& b);
  Value evaluate_concat(const Expr& expr);
  Value evaluate_conditional(const Expr& expr);
  Value evaluate_call(const Expr& expr, const Value* caller);
  Value evaluate_filter(const Expr& expr, const Value* text);
  Arguments evaluate_arguments(const std::vector<Argument>& arguments);
  std::optional<Value> find_attribute(const Value& value, const std::string& name);
  std::optional<Value> find_element(const Value& value, const Value& key);

  Heap& heap_;
  const std::time_t now_;
  std::shared_ptr<Scope> globals_;
  std::shared_ptr<Scope> scope_;
  TextBuilder* out_ = nullptr;
  int line_ = 1;
  int depth_ = 0;
  // All that can be part of a cycle.
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::vector<std::shared_ptr<Scope>> captured_;
};

}  // namespace windlass::jinja

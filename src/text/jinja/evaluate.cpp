// Expressions.
#include "src/text/jinja/interpreter.h"
#include "src/text/jinja/loop.h"
#include "src/text/jinja/nesting.h"
#include "src/text/jinja/operators.h"
#include "src/text/jinja/text_form.h"
#include "src/text/jinja/text_ops.h"

namespace windlass::jinja {
namespace {

// Methods that would change a value; the sandbox of chat templates has none of them.
bool changes_its_object(std::string_view name) {
  for (const std::string_view method : {"append", "clear", "extend", "insert", "pop", "popitem",
                                        "remove", "reverse", "setdefault", "sort", "update"}) {
    if (name == method) return true;
  }
  return false;
}

// What a method of a string marked safe gives is safe too. (Those that would also escape their
// arguments are refused.)
Value as_safe(Heap& heap, const Value& value) {
  if (value.is_string()) return Value::string(&heap, value.text(), true);
  if (!value.has_items()) return value;
  Values items;
  for (const Value& item : value.items()) items.push_back(as_safe(heap, item));
  return value.is(Kind::kList) ? Value::list(&heap, std::move(items))
                               : Value::tuple(&heap, std::move(items));
}

bool escapes_arguments(std::string_view method) {
  return method == "replace" || method == "join" || method == "format" || method == "center" ||
         method == "ljust" || method == "rjust";
}

class BoundMethod final : public Function {
 public:
  BoundMethod(Heap& heap, const Value& self, const Builtin& builtin)
      : Function(&heap, 96, self.depth() + 1), self_(self), builtin_(builtin) {}
  Value call(Interpreter& interpreter, const Arguments& arguments) override {
    Value result = builtin_.call(interpreter, self_, BoundArguments(builtin_, arguments));
    return self_.is_safe() ? as_safe(interpreter.heap(), result) : result;
  }

 private:
  const Value self_;
  const Builtin& builtin_;
};

std::string has_no(const Value& value, std::string_view what, const std::string& name) {
  const std::string owner = value.is_none() ? "None" : fmt::format("{} object", type_name(value));
  return fmt::format("'{}' has no {} {}", owner, what, name);
}

std::optional<std::int64_t> slice_bound(const Value& value) {
  if (value.is_none()) return std::nullopt;
  if (value.is_undefined()) throw_failure("{}", value.text());
  if (!value.is_integral()) throw_failure("slice indices must be integers or None");
  return value.to_int();
}

}  // namespace

const Value* Scope::find(const std::string& name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get()) {
    const auto it = scope->names.find(name);
    if (it != scope->names.end()) return &it->second;
  }
  return nullptr;
}

Value Interpreter::evaluate_in(const Expr& expr, const std::shared_ptr<Scope>& scope) {
  const Restored<std::shared_ptr<Scope>> outer(scope_, scope);
  return evaluate(expr);
}

Value Interpreter::evaluate(const Expr& expr) {
  const Nested nested(depth_);
  heap_.step();
  line_ = expr.line;
  return evaluate_node(expr);
}

Value Interpreter::evaluate_node(const Expr& expr) {
  const auto part = [&](std::size_t i) { return evaluate(*expr.parts[i]); };
  switch (expr.kind) {
    case ExprKind::kConstant:
      return expr.value;
    case ExprKind::kName:
      return evaluate_name(expr);
    case ExprKind::kList:
      return Value::list(&heap_, evaluate_all(expr.parts));
    case ExprKind::kTuple:
      return Value::tuple(&heap_, evaluate_all(expr.parts));
    case ExprKind::kDict:
      return evaluate_dict(expr);
    case ExprKind::kAttribute: {
      const Value value = part(0);
      line_ = expr.line;
      return attribute(value, expr.name);
    }
    case ExprKind::kItem: {
      const Value value = part(0);
      const Value key = part(1);
      line_ = expr.line;
      return item(value, key);
    }
    case ExprKind::kSlice:
      return evaluate_slice(expr);
    case ExprKind::kCall:
      return evaluate_call(expr, nullptr);
    case ExprKind::kFilter:
      return evaluate_filter(expr, nullptr);
    case ExprKind::kTest: {
      const Value value = part(0);
      const Arguments arguments = evaluate_arguments(expr.arguments);
      line_ = expr.line;
      return Value::boolean(test(expr.name, value, arguments));
    }
    case ExprKind::kNot:
      return Value::boolean(!is_true(part(0)));
    case ExprKind::kNegate:
      return negate(part(0));
    case ExprKind::kPlus:
      return unary_plus(part(0));
    case ExprKind::kAnd: {
      Value left = part(0);
      return is_true(left) ? part(1) : left;
    }
    case ExprKind::kOr: {
      Value left = part(0);
      return is_true(left) ? left : part(1);
    }
    case ExprKind::kArithmetic: {
      const Value left = part(0);
      const Value right = part(1);
      line_ = expr.line;
      return arithmetic(heap_, expr.name, left, right);
    }
    case ExprKind::kConcat:
      return evaluate_concat(expr);
    case ExprKind::kCompare:
      return evaluate_compare(expr);
    case ExprKind::kConditional:
      return evaluate_conditional(expr);
  }
  return {};
}

Value Interpreter::evaluate_name(const Expr& expr) {
  if (const Value* value = scope_->find(expr.name)) return *value;
  if (const Builtin* global = find_global(expr.name)) {
    return Value::of(Kind::kFunction, std::make_shared<BoundMethod>(heap_, Value(), *global));
  }
  return Value::undefined(fmt::format("'{}' is undefined", expr.name));
}

Values Interpreter::evaluate_all(const std::vector<ExprPtr>& parts) {
  Values values;
  values.reserve(parts.size());
  for (const ExprPtr& part : parts) values.push_back(evaluate(*part));
  return values;
}

Value Interpreter::evaluate_dict(const Expr& expr) {
  std::vector<Dict::Entry> entries;
  entries.reserve(expr.parts.size() / 2);
  for (std::size_t i = 0; i < expr.parts.size(); i += 2) {
    Value key = evaluate(*expr.parts[i]);
    entries.emplace_back(std::move(key), evaluate(*expr.parts[i + 1]));
  }
  return make_dict(heap_, std::move(entries));
}

Value Interpreter::evaluate_slice(const Expr& expr) {
  const Value value = evaluate(*expr.parts[0]);
  const auto bound = [&](std::size_t i) {
    return expr.parts[i] ? slice_bound(evaluate(*expr.parts[i])) : std::nullopt;
  };
  SliceBounds bounds;
  bounds.start = bound(1);
  bounds.stop = bound(2);
  bounds.step = bound(3);
  line_ = expr.line;
  return slice(heap_, value, bounds);
}

bool Interpreter::compare(Comparison comparison, const Value& a, const Value& b) {
  switch (comparison) {
    case Comparison::kEq:
      return equals(heap_, a, b);
    case Comparison::kNe:
      return !equals(heap_, a, b);
    case Comparison::kLt:
      return less(heap_, a, b, "<");
    case Comparison::kGt:
      return less(heap_, b, a, ">");
    case Comparison::kLe:
      return less(heap_, a, b, "<=") || equals(heap_, a, b);
    case Comparison::kGe:
      return less(heap_, b, a, ">=") || equals(heap_, a, b);
    case Comparison::kIn:
      return contains(heap_, b, a);
    case Comparison::kNotIn:
      return !contains(heap_, b, a);
  }
  return false;
}

Value Interpreter::evaluate_compare(const Expr& expr) {
  Value left = evaluate(*expr.parts[0]);
  for (std::size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = evaluate(*expr.parts[i + 1]);
    line_ = expr.line;
    if (!compare(expr.operators[i], left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::evaluate_concat(const Expr& expr) {
  TextBuilder text(heap_);
  for (const ExprPtr& part : expr.parts) append_str(text, evaluate(*part));
  return string(text.take());
}

Value Interpreter::evaluate_conditional(const Expr& expr) {
  if (is_true(evaluate(*expr.parts[1]))) return evaluate(*expr.parts[0]);
  if (expr.parts.size() > 2) return evaluate(*expr.parts[2]);
  return Value::undefined(
      "the inline if-expression evaluated to false and no else section was defined");
}

Arguments Interpreter::evaluate_arguments(const std::vector<Argument>& arguments) {
  Arguments values;
  for (const Argument& argument : arguments) {
    Value value = evaluate(*argument.value);
    switch (argument.form) {
      case Argument::Form::kPositional:
        values.positional.push_back(std::move(value));
        break;
      case Argument::Form::kNamed:
        values.named.emplace_back(argument.name, std::move(value));
        break;
      case Argument::Form::kSpread:
        for (Value& element : collect(heap_, value))
          values.positional.push_back(std::move(element));
        break;
      case Argument::Form::kSpreadNamed:
        if (!value.is(Kind::kDict))
          throw_failure("argument after ** must be a mapping, not {}", type_name(value));
        for (const auto& [key, element] : value.dict().entries) {
          if (!key.is_string()) throw_failure("keywords must be strings");
          values.named.emplace_back(key.text(), element);
        }
    }
  }
  return values;
}

// caller: what a call block gives as caller().
Value Interpreter::evaluate_call(const Expr& expr, const Value* caller) {
  const Value callee = evaluate(*expr.parts[0]);
  Arguments arguments = evaluate_arguments(expr.arguments);
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  line_ = expr.line;
  return call(callee, arguments);
}

Value Interpreter::call(const Value& callee, const Arguments& arguments) {
  const Nested nested(depth_);
  if (callee.is_undefined()) throw_failure("{}", callee.text());
  if (callee.is(Kind::kLoop)) {
    Loop& loop = callee.object<Loop>();
    const auto scope = loop.scope.lock();
    if (loop.node == nullptr || !scope)
      throw_failure("the loop must be marked 'recursive' to be called");
    if (arguments.positional.size() != 1 || !arguments.named.empty())
      throw_failure("loop() takes one sequence");
    return string(run_loop(*loop.node, arguments.positional[0], scope, loop.depth0() + 1));
  }
  if (!callee.is(Kind::kFunction)) throw_failure("'{}' object is not callable", type_name(callee));
  const auto function = std::static_pointer_cast<Function>(callee.share());
  return function->call(*this, arguments);
}

// text: of the block that the filter is for.
Value Interpreter::evaluate_filter(const Expr& expr, const Value* text) {
  const Nested nested(depth_);
  const Expr* inner = expr.parts[0].get();
  const bool is_block = text != nullptr && inner != nullptr;
  const Value value = inner == nullptr ? *text
                      : is_block       ? evaluate_filter(*inner, text)
                                       : evaluate(*inner);
  const Arguments arguments = evaluate_arguments(expr.arguments);
  line_ = expr.line;
  return filter(expr.name, value, arguments);
}

Value Interpreter::filter(std::string_view name, const Value& value, const Arguments& arguments) {
  const Builtin* builtin = find_filter(name);
  if (builtin == nullptr) throw_unsupported("unknown filter '{}'", name);
  return builtin->call(*this, value, BoundArguments(*builtin, arguments));
}

bool Interpreter::test(std::string_view name, const Value& value, const Arguments& arguments) {
  const Builtin* builtin = find_test(name);
  if (builtin == nullptr) throw_unsupported("unknown test '{}'", name);
  return is_true(builtin->call(*this, value, BoundArguments(*builtin, arguments)));
}

std::optional<Value> Interpreter::find_attribute(const Value& value, const std::string& name) {
  if (name.starts_with("__")) throw_unsupported("the attribute '{}'", name);
  if (value.is(Kind::kNamespace)) {
    const auto& attributes = value.object<Namespace>().attributes;
    const auto it = attributes.find(name);
    return it == attributes.end() ? std::nullopt : std::optional(it->second);
  }
  if (value.is(Kind::kLoop)) {
    if (auto found = value.object<Loop>().attribute(name)) return found;
  }
  if (value.is_safe() && escapes_arguments(name))
    throw_unsupported("'{}' of a string that is marked safe", name);
  if (const Builtin* method = find_method(value.kind(), name))
    return Value::of(Kind::kFunction, std::make_shared<BoundMethod>(heap_, value, *method));
  const bool is_mutable = value.is(Kind::kList) || value.is(Kind::kDict);
  if (is_mutable && changes_its_object(name) &&
      (value.is(Kind::kList) || !value.dict().find(heap_, name)))
    throw_unsupported("'{}' of a {}: the sandbox of chat templates lets no value be changed", name,
                      type_name(value));
  return std::nullopt;
}

std::optional<Value> Interpreter::find_element(const Value& value, const Value& key) {
  if (value.is(Kind::kDict)) {
    const bool is_hashable = !key.is(Kind::kList) && !key.is(Kind::kDict);
    const Value* found = is_hashable ? value.dict().find(heap_, key) : nullptr;
    return found == nullptr ? std::nullopt : std::optional(*found);
  }
  const bool is_indexed = value.has_items() || value.is_string() || value.is(Kind::kRange);
  if (is_indexed && key.is_integral()) return try_index(heap_, value, key.to_int());
  return std::nullopt;
}

Value Interpreter::attribute(const Value& value, const std::string& name) {
  if (value.is_undefined()) throw_failure("{}", value.text());
  if (auto found = find_attribute(value, name)) return *found;
  if (value.is(Kind::kDict)) {
    if (const Value* found = value.dict().find(heap_, name)) return *found;
  }
  return Value::undefined(has_no(value, "attribute", fmt::format("'{}'", name)));
}

Value Interpreter::item(const Value& value, const Value& key) {
  if (value.is_undefined()) throw_failure("{}", value.text());
  if (auto found = find_element(value, key)) return *found;
  if (key.is_string()) {
    if (auto found = find_attribute(value, key.text())) return *found;
    return Value::undefined(has_no(value, "attribute", fmt::format("'{}'", key.text())));
  }
  return Value::undefined(has_no(value, "element", to_repr(heap_, key)));
}

Value Interpreter::path(Value value, const Value& path, const Value* otherwise) {
  const auto step = [&](const Value& key) {
    value = item(value, key);
    if (value.is_undefined() && otherwise != nullptr && !otherwise->is_none()) value = *otherwise;
  };
  if (!path.is_string()) {
    step(path);
    return value;
  }
  for (const Value& part : split_text(heap_, path.text(), ".", -1, Side::kLeft)) {
    const std::string& name = part.text();
    const bool is_number =
        !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
    step(is_number ? Value::integer(parse_int(name, 10).value_or(0)) : part);
  }
  return value;
}

}  // namespace windlass::jinja

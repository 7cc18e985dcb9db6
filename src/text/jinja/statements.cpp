// Statements, and what they make: scopes, macros, loops.
#include "src/text/jinja/interpreter.h"
#include "src/text/jinja/loop.h"
#include "src/text/jinja/nesting.h"
#include "src/text/jinja/text_form.h"

namespace windlass::jinja {
namespace {

constexpr std::int64_t kScopeBytes = 256;  // with a name or two

}  // namespace

Interpreter::Interpreter(Heap& heap, std::time_t now)
    : heap_(heap), now_(now), globals_(std::make_shared<Scope>(nullptr)), scope_(globals_) {}

// Values may refer to each other in a circle through what can change; empty, they let go.
Interpreter::~Interpreter() {
  for (const auto& scope : captured_) scope->names.clear();
  for (const auto& attributes : namespaces_) attributes->attributes.clear();
  heap_.release(static_cast<std::int64_t>(captured_.size()) * kScopeBytes);
}

void Interpreter::define(const std::string& name, Value value) {
  globals_->names[name] = std::move(value);
}

std::string Interpreter::render(const Body& body) {
  TextBuilder out(heap_);
  const Restored<TextBuilder*> outer(out_, &out);
  run(body);
  return out.take();
}

Value Interpreter::make_namespace(std::unordered_map<std::string, Value> attributes) {
  auto made = std::make_shared<Namespace>(&heap_);
  made->attributes = std::move(attributes);
  namespaces_.push_back(made);
  return Value::of(Kind::kNamespace, std::move(made));
}

Interpreter::Flow Interpreter::run(const Body& body) {
  const Nested nested(depth_);
  for (const Statement& statement : body) {
    const Flow flow = run(statement);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const Statement& statement) {
  heap_.step();
  line_ = statement.line;
  return std::visit([this](const auto& node) { return run(node); }, statement.node);
}

Interpreter::Flow Interpreter::run(const TextNode& node) {
  out_->append(node.text);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const PrintNode& node) {
  append_str(*out_, evaluate(*node.value));
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const IfNode& node) {
  for (const IfNode::Branch& branch : node.branches) {
    if (!branch.condition || is_true(evaluate(*branch.condition))) return run(branch.body);
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const ForNode& node) {
  iterate_loop(node, evaluate(*node.sequence), 0);
  return Flow::kNext;
}

// The elements for which the loop's condition holds, asked as late as the loop wants them.
std::shared_ptr<Iterator> Interpreter::filtered(const ForNode& node,
                                                std::shared_ptr<Iterator> source) {
  const int depth = source->depth();
  const auto next = [this, &node, source = std::move(source), outer = scope_](Value& element) {
    while (source->next(element)) {
      const Restored<std::shared_ptr<Scope>> inner(scope_, std::make_shared<Scope>(outer));
      assign(node.target, element);
      if (is_true(evaluate(*node.condition))) return true;
    }
    return false;
  };
  return iterate(heap_, make_iterator(heap_, depth, next));
}

void Interpreter::iterate_loop(const ForNode& node, const Value& sequence, std::int64_t depth) {
  std::shared_ptr<Iterator> source = iterate(heap_, sequence);
  if (node.condition) source = filtered(node, std::move(source));
  const auto loop = std::make_shared<Loop>(heap_, sequence, std::move(source), depth);
  if (node.recursive) {
    loop->node = &node;
    loop->scope = scope_;
  }
  const Value loop_value = Value::of(Kind::kLoop, loop);
  bool was_empty = true;
  for (Value element; loop->advance(element);) {
    was_empty = false;
    if (run_iteration(node, element, loop_value) == Flow::kBreak) break;
  }
  if (!was_empty) return;
  const Restored<std::shared_ptr<Scope>> inner(scope_, std::make_shared<Scope>(scope_));
  run(node.otherwise);
}

Interpreter::Flow Interpreter::run_iteration(const ForNode& node, const Value& element,
                                             const Value& loop) {
  heap_.step();
  const Restored<std::shared_ptr<Scope>> inner(scope_, std::make_shared<Scope>(scope_));
  scope_->names["loop"] = loop;
  assign(node.target, element);
  return run(node.body);
}

std::string Interpreter::run_loop(const ForNode& node, const Value& sequence,
                                  std::shared_ptr<Scope> scope, std::int64_t depth) {
  TextBuilder out(heap_);
  const Restored<TextBuilder*> outer_text(out_, &out);
  const Restored<std::shared_ptr<Scope>> outer(scope_, std::move(scope));
  iterate_loop(node, sequence, depth);
  return out.take();
}

std::string Interpreter::capture(const Body& body) {
  TextBuilder out(heap_);
  const Restored<TextBuilder*> outer_text(out_, &out);
  const Restored<std::shared_ptr<Scope>> inner(scope_, std::make_shared<Scope>(scope_));
  run(body);
  return out.take();
}

void Interpreter::assign_attribute(const Target& target, const Value& value) {
  const Value* owner = scope_->find(target.name);
  if (owner == nullptr || !owner->is(Kind::kNamespace))
    throw_failure("cannot assign attribute on non-namespace object");
  Namespace& space = owner->object<Namespace>();
  const auto [it, is_new] = space.attributes.try_emplace(target.attribute);
  it->second = value;
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.attribute.empty()) return assign_attribute(target, value);
  if (target.targets.empty()) {
    scope_->names[target.name] = value;
    return;
  }
  const Values elements = collect(heap_, value);
  const std::size_t wanted = target.targets.size();
  if (elements.size() < wanted)
    throw_failure("not enough values to unpack (expected {}, got {})", wanted, elements.size());
  if (elements.size() > wanted) throw_failure("too many values to unpack (expected {})", wanted);
  for (std::size_t i = 0; i < wanted; ++i) assign(target.targets[i], elements[i]);
}

Interpreter::Flow Interpreter::run(const SetNode& node) {
  assign(node.target, evaluate(*node.value));
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const SetBlockNode& node) {
  Value text = string(capture(node.body));
  if (node.filter) text = evaluate_filter(*node.filter, &text);
  assign(node.target, text);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const FilterNode& node) {
  const Value text = string(capture(node.body));
  append_str(*out_, evaluate_filter(*node.filter, &text));
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const WithNode& node) {
  std::vector<std::pair<const Target*, Value>> variables;
  for (const auto& [target, value] : node.variables)
    variables.emplace_back(&target, evaluate(*value));
  const Restored<std::shared_ptr<Scope>> inner(scope_, std::make_shared<Scope>(scope_));
  for (const auto& [target, value] : variables) assign(*target, value);
  return run(node.body);
}

Interpreter::Flow Interpreter::run(const LoopControlNode& node) {
  return node.is_break ? Flow::kBreak : Flow::kContinue;
}

namespace {

class Macro final : public Function {
 public:
  Macro(Heap& heap, const MacroNode& node, std::shared_ptr<Scope> scope)
      : Function(&heap, 128, 1), node_(node), scope_(std::move(scope)) {}

  Value call(Interpreter& interpreter, const Arguments& arguments) override {
    auto inner = std::make_shared<Scope>(scope_);
    std::vector<bool> used(arguments.named.size(), false);
    for (std::size_t i = 0; i < node_.parameters.size(); ++i)
      bind(interpreter, arguments, i, inner, used);
    bind_rest(interpreter, arguments, inner, used);
    return interpreter.string(interpreter.run_macro(node_, inner));
  }

 private:
  void bind(Interpreter& interpreter, const Arguments& arguments, std::size_t i,
            const std::shared_ptr<Scope>& inner, std::vector<bool>& used) const {
    const Parameter& parameter = node_.parameters[i];
    const Value* given = i < arguments.positional.size() ? &arguments.positional[i] : nullptr;
    for (std::size_t k = 0; k < arguments.named.size(); ++k) {
      if (arguments.named[k].first != parameter.name) continue;
      if (given != nullptr) fail_surplus(parameter.name);
      given = &arguments.named[k].second;
      used[k] = true;
    }
    inner->names[parameter.name] =
        given != nullptr ? *given
        : parameter.otherwise
            ? interpreter.evaluate_in(*parameter.otherwise, inner)
            : Value::undefined(fmt::format("parameter '{}' was not provided", parameter.name));
  }

  // caller, varargs and kwargs, where the body names them; else they are an error.
  void bind_rest(Interpreter& interpreter, const Arguments& arguments,
                 const std::shared_ptr<Scope>& inner, const std::vector<bool>& used) const {
    Heap& heap = interpreter.heap();
    std::vector<Dict::Entry> rest;
    if (node_.uses_caller) inner->names["caller"] = Value::undefined("No caller defined");
    for (std::size_t k = 0; k < arguments.named.size(); ++k) {
      const auto& [name, value] = arguments.named[k];
      if (used[k]) continue;
      if (node_.uses_caller && name == "caller") {
        inner->names["caller"] = value;
      } else if (node_.uses_kwargs) {
        rest.emplace_back(Value::string(&heap, name), value);
      } else {
        fail_surplus(name);
      }
    }
    const std::size_t n = node_.parameters.size();
    const bool too_many = arguments.positional.size() > n;
    if (too_many && !node_.uses_varargs)
      throw_failure("macro '{}' takes not more than {} argument(s)", node_.name, n);
    if (node_.uses_kwargs) inner->names["kwargs"] = make_dict(heap, std::move(rest));
    if (!node_.uses_varargs) return;
    Values more;
    for (std::size_t i = n; i < arguments.positional.size(); ++i)
      more.push_back(arguments.positional[i]);
    inner->names["varargs"] = Value::tuple(&heap, std::move(more));
  }

  [[noreturn]] void fail_surplus(const std::string& name) const {
    throw_failure("macro '{}' takes no keyword argument '{}'", node_.name, name);
  }

  const MacroNode& node_;
  const std::shared_ptr<Scope> scope_;
};

}  // namespace

std::string Interpreter::run_macro(const MacroNode& macro, const std::shared_ptr<Scope>& scope) {
  TextBuilder out(heap_);
  const Restored<TextBuilder*> outer_text(out_, &out);
  const Restored<std::shared_ptr<Scope>> outer(scope_, scope);
  run(macro.body);
  return out.take();
}

// The macro refers to the scope, and the scope to the macro: the scope is kept to be emptied.
Value Interpreter::make_macro(const MacroNode& node) {
  if (captured_.empty() || captured_.back() != scope_) {
    heap_.hold(kScopeBytes);
    captured_.push_back(scope_);
  }
  return Value::of(Kind::kFunction, std::make_shared<Macro>(heap_, node, scope_));
}

Interpreter::Flow Interpreter::run(const MacroNode& node) {
  scope_->names[node.name] = make_macro(node);
  return Flow::kNext;
}

Interpreter::Flow Interpreter::run(const CallNode& node) {
  const Value caller = make_macro(node.caller);
  append_str(*out_, evaluate_call(*node.call, &caller));
  return Flow::kNext;
}

}  // namespace windlass::jinja

// What may follow `is`.
#include <algorithm>

#include "src/text/jinja/interpreter.h"
#include "src/text/jinja/operators.h"
#include "src/text/jinja/text_ops.h"

namespace windlass::jinja {
namespace {

using Args = BoundArguments;

template <bool (*kHolds)(const Value&)>
Value simple(Interpreter&, const Value& value, const Args&) {
  return Value::boolean(kHolds(value));
}

bool defined(const Value& value) { return !value.is_undefined(); }
bool undefined(const Value& value) { return value.is_undefined(); }
bool none(const Value& value) { return value.is_none(); }
bool boolean(const Value& value) { return value.is(Kind::kBool); }
bool is_bool_true(const Value& value) { return boolean(value) && value.to_int() == 1; }
bool is_bool_false(const Value& value) { return boolean(value) && value.to_int() == 0; }
bool integer(const Value& value) { return value.is(Kind::kInt); }
bool floating(const Value& value) { return value.is(Kind::kFloat); }
bool number(const Value& value) { return value.is_number(); }
bool string(const Value& value) { return value.is_string(); }
bool mapping(const Value& value) { return value.is(Kind::kDict); }
bool iterable(const Value& value) {
  return length_of(value).has_value() || value.is(Kind::kIterator) || value.is(Kind::kLoop);
}
// What has a length and elements by number or key.
bool sequence(const Value& value) {
  return length_of(value).has_value() && !value.is(Kind::kDictView);
}
bool callable(const Value& value) {
  return value.is(Kind::kFunction) || value.is(Kind::kLoop) || value.is_undefined();
}
bool escaped(const Value& value) { return value.is_safe(); }

std::int64_t whole(const Value& value, const char* what) {
  if (value.is_undefined()) throw_failure("{}", value.text());
  if (!value.is_integral()) throw_failure("'{}' wants an integer, not {}", what, type_name(value));
  return value.to_int();
}

template <int kRemainder>
Value parity(Interpreter&, const Value& value, const Args&) {
  return Value::boolean((whole(value, kRemainder == 1 ? "odd" : "even") & 1) == kRemainder);
}

Value divisible_by(Interpreter& in, const Value& value, const Args& args) {
  const Value remainder = arithmetic(in.heap(), "%", value, args[0]);
  return Value::boolean(!is_true(remainder));
}

template <bool kEqual>
Value equal_to(Interpreter& in, const Value& value, const Args& args) {
  return Value::boolean(equals(in.heap(), value, args[0]) == kEqual);
}

// a < b, or with kSwap b < a; or equal.
template <bool kSwap, bool kOrEqual>
Value ordered(Interpreter& in, const Value& value, const Args& args) {
  const Value& a = kSwap ? args[0] : value;
  const Value& b = kSwap ? value : args[0];
  return Value::boolean(less(in.heap(), a, b, kSwap ? ">" : "<") ||
                        (kOrEqual && equals(in.heap(), a, b)));
}

Value in_test(Interpreter& in, const Value& value, const Args& args) {
  return Value::boolean(contains(in.heap(), args[0], value));
}

Value same_as(Interpreter& in, const Value& value, const Args& args) {
  const Value& other = args[0];
  if (value.kind() != other.kind()) return Value::boolean(false);
  if (value.is_none() || value.is(Kind::kBool))
    return Value::boolean(equals(in.heap(), value, other));
  if (value.identity() == nullptr) throw_unsupported("the identity of a {}", type_name(value));
  return Value::boolean(value.identity() == other.identity());
}

template <bool kUpper>
Value letter_case(Interpreter& in, const Value& value, const Args&) {
  const Builtin* method = find_method(Kind::kString, kUpper ? "isupper" : "islower");
  const Value text = in.filter("string", value, {});
  return method->call(in, text, BoundArguments(*method, {}));
}

Value is_filter(Interpreter&, const Value& value, const Args&) {
  return Value::boolean(value.is_string() && find_filter(value.text()) != nullptr);
}

Value is_test(Interpreter&, const Value& value, const Args&) {
  return Value::boolean(value.is_string() && find_test(value.text()) != nullptr);
}

constexpr Builtin kTests[] = {
    {"defined", "", 0, simple<defined>},
    {"undefined", "", 0, simple<undefined>},
    {"none", "", 0, simple<none>},
    {"string", "", 0, simple<string>},
    {"mapping", "", 0, simple<mapping>},
    {"iterable", "", 0, simple<iterable>},
    {"sequence", "", 0, simple<sequence>},
    {"boolean", "", 0, simple<boolean>},
    {"true", "", 0, simple<is_bool_true>},
    {"false", "", 0, simple<is_bool_false>},
    {"integer", "", 0, simple<integer>},
    {"float", "", 0, simple<floating>},
    {"number", "", 0, simple<number>},
    {"callable", "", 0, simple<callable>},
    {"escaped", "", 0, simple<escaped>},
    {"odd", "", 0, parity<1>},
    {"even", "", 0, parity<0>},
    {"divisibleby", "num", 1, divisible_by},
    {"in", "seq", 1, in_test},
    {"sameas", "other", 1, same_as},
    {"upper", "", 0, letter_case<true>},
    {"lower", "", 0, letter_case<false>},
    {"filter", "", 0, is_filter},
    {"test", "", 0, is_test},
    {"==", "other", 1, equal_to<true>},
    {"eq", "other", 1, equal_to<true>},
    {"equalto", "other", 1, equal_to<true>},
    {"!=", "other", 1, equal_to<false>},
    {"ne", "other", 1, equal_to<false>},
    {"<", "other", 1, ordered<false, false>},
    {"lt", "other", 1, ordered<false, false>},
    {"lessthan", "other", 1, ordered<false, false>},
    {"<=", "other", 1, ordered<false, true>},
    {"le", "other", 1, ordered<false, true>},
    {">", "other", 1, ordered<true, false>},
    {"gt", "other", 1, ordered<true, false>},
    {"greaterthan", "other", 1, ordered<true, false>},
    {">=", "other", 1, ordered<true, true>},
    {"ge", "other", 1, ordered<true, true>},
};

}  // namespace

const Builtin* find_test(std::string_view name) {
  const auto* row = std::find_if(std::begin(kTests), std::end(kTests),
                                 [&](const Builtin& builtin) { return builtin.name == name; });
  return row == std::end(kTests) ? nullptr : row;
}

}  // namespace windlass::jinja

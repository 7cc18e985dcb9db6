// Filters to and of numbers, default, and the lookup of all filters.
#include <algorithm>
#include <cmath>

#include "src/text/jinja/filter_tables.h"
#include "src/text/jinja/interpreter.h"
#include "src/text/jinja/operators.h"
#include "src/text/jinja/text_form.h"

namespace windlass::jinja {
namespace {

using Args = BoundArguments;

Value otherwise(Interpreter&, const Value& value, const Args& args) {
  const bool missing = value.is_undefined() || (args.truth(1, false) && !is_true(value));
  if (!missing) return value;
  return args.has(0) ? args[0] : Value::string(nullptr, "");
}

// Nothing where Python's int() fails.
std::optional<Value> whole(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  if (std::abs(value) >= 0x1p63) throw_unsupported("integers beyond 64 bits");
  return Value::integer(static_cast<std::int64_t>(value));
}

Value to_integer(Interpreter&, const Value& value, const Args& args) {
  const Value fallback = args.has(0) ? args[0] : Value::integer(0);
  if (value.is_undefined()) throw_failure("{}", value.text());
  if (value.is_integral()) return Value::integer(value.to_int());
  if (value.is(Kind::kFloat)) return whole(value.to_double()).value_or(fallback);
  if (!value.is_string()) return fallback;
  const std::int64_t base = args.integer(1, 10);
  if (base < 2 || base > 36) throw_unsupported("'int' with base {}", base);
  if (const auto number = parse_int(value.text(), static_cast<int>(base)))
    return Value::integer(*number);
  const auto real = parse_float(value.text());
  return real ? whole(*real).value_or(fallback) : fallback;
}

Value to_float(Interpreter&, const Value& value, const Args& args) {
  const Value fallback = args.has(0) ? args[0] : Value::real(0);
  if (value.is_undefined()) throw_failure("{}", value.text());
  if (value.is_number()) return Value::real(value.to_double());
  if (!value.is_string()) return fallback;
  const auto real = parse_float(value.text());
  return real ? Value::real(*real) : fallback;
}

Value absolute(Interpreter& in, const Value& value, const Args&) {
  if (value.is_undefined()) throw_failure("{}", value.text());
  if (!value.is_number()) throw_failure("bad operand type for abs(): '{}'", type_name(value));
  if (less(in.heap(), value, Value::integer(0))) return negate(value);
  return unary_plus(value);
}

Value round(Interpreter&, const Value& value, const Args& args) {
  const std::int64_t digits = args.integer(0, 0);
  const std::string method = args.text(1, "common");
  if (value.is_undefined()) throw_failure("{}", value.text());
  if (!value.is_number()) throw_failure("'round' wants a number, not {}", type_name(value));
  if (method != "common" && method != "ceil" && method != "floor")
    throw_failure("method must be common, ceil or floor");
  if (method == "common") {
    if (!value.is_integral()) return Value::real(round_float(value.to_double(), digits));
    if (digits < 0) throw_unsupported("'round' of an integer to {} digits", digits);
    return Value::integer(value.to_int());
  }
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = value.to_double() * scale;
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

constexpr Builtin kFilters[] = {
    {"default", "default_value boolean", 0, otherwise},
    {"d", "default_value boolean", 0, otherwise},
    {"int", "default base", 0, to_integer},
    {"float", "default", 0, to_float},
    {"abs", "", 0, absolute},
    {"round", "precision method", 0, round},
};

}  // namespace

std::span<const Builtin> number_filters() { return kFilters; }

const Builtin* find_filter(std::string_view name) {
  for (const auto table :
       {text_filters(), sequence_filters(), selection_filters(), number_filters()}) {
    const auto row = std::find_if(table.begin(), table.end(),
                                  [&](const Builtin& builtin) { return builtin.name == name; });
    if (row != table.end()) return &*row;
  }
  return nullptr;
}

}  // namespace windlass::jinja

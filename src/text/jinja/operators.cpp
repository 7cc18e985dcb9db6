#include "src/text/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "src/text/jinja/string_format.h"
#include "src/text/jinja/text_ops.h"

namespace windlass::jinja {
namespace {

[[noreturn]] void fail_operands(std::string_view sign, const Value& a, const Value& b) {
  for (const Value* operand : {&a, &b}) {
    if (operand->is_undefined()) throw_failure("{}", operand->text());
  }
  if (sign == "+" && a.is_string() && !b.is_string())
    throw_failure("can only concatenate str (not \"{}\") to str", type_name(b));
  throw_failure("unsupported operand types for {}: '{}' and '{}'", sign, type_name(a),
                type_name(b));
}

[[noreturn]] void fail_range() { throw_unsupported("integers beyond 64 bits"); }

// What is joined to a safe string is escaped, and the result is safe.
Value join_strings(Heap& heap, const Value& a, const Value& b) {
  const bool safe = a.is_safe() || b.is_safe();
  TextBuilder out(heap);
  for (const Value* part : {&a, &b}) {
    if (safe && !part->is_safe()) {
      append_escaped(out, part->text());
    } else {
      out.append(part->text());
    }
  }
  return Value::string(&heap, out.take(), safe);
}

Value join_values(Heap& heap, const Value& a, const Value& b) {
  const auto n = static_cast<std::int64_t>((a.items().size() + b.items().size()) * sizeof(Value));
  heap.copy(n, n);
  heap.step(n / 32);
  Values items;
  items.reserve(a.items().size() + b.items().size());
  items.insert(items.end(), a.items().begin(), a.items().end());
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.is(Kind::kList) ? Value::list(&heap, std::move(items))
                           : Value::tuple(&heap, std::move(items));
}

Value repeat(Heap& heap, const Value& value, std::int64_t times) {
  times = std::max<std::int64_t>(times, 0);
  if (value.is_string()) {
    TextBuilder out(heap);
    if (!value.text().empty()) out.repeat(value.text(), times);
    return Value::string(&heap, out.take(), value.is_safe());
  }
  Values items;
  if (value.items().empty()) times = 0;
  for (std::int64_t i = 0; i < times; ++i) {
    const auto n = static_cast<std::int64_t>(value.items().size() * sizeof(Value));
    heap.copy(n, static_cast<std::int64_t>(items.size() * sizeof(Value)) + n);
    heap.step(n / 32);
    items.insert(items.end(), value.items().begin(), value.items().end());
  }
  return value.is(Kind::kList) ? Value::list(&heap, std::move(items))
                               : Value::tuple(&heap, std::move(items));
}

bool is_sequence(const Value& value) { return value.is_string() || value.has_items(); }

std::int64_t floor_quotient(std::int64_t a, std::int64_t b) {
  if (a == INT64_MIN && b == -1) fail_range();
  const std::int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

double floor_remainder(double a, double b) {
  const double remainder = std::fmod(a, b);
  if (remainder == 0) return std::copysign(0.0, b);
  return (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

Value power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) throw_failure("0.0 cannot be raised to a negative power");
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t result = 1;
  while (exponent > 0) {  // by squaring: at most 64 rounds, or base is 0, 1 or -1
    if (exponent % 2 == 1 && __builtin_mul_overflow(result, base, &result)) fail_range();
    exponent /= 2;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_range();
  }
  return Value::integer(result);
}

Value integer_arithmetic(std::string_view sign, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (sign == "**") return power(a, b);
  if (sign == "+") {
    if (__builtin_add_overflow(a, b, &result)) fail_range();
  } else if (sign == "-") {
    if (__builtin_sub_overflow(a, b, &result)) fail_range();
  } else if (sign == "*") {
    if (__builtin_mul_overflow(a, b, &result)) fail_range();
  } else if (b == 0) {
    throw_failure("{}", sign == "/" ? "division by zero" : "integer division or modulo by zero");
  } else if (sign == "/") {
    return Value::real(static_cast<double>(a) / static_cast<double>(b));
  } else {
    result = floor_quotient(a, b);
    if (sign == "%") result = a - result * b;
  }
  return Value::integer(result);
}

Value float_arithmetic(std::string_view sign, double a, double b) {
  if (sign == "+") return Value::real(a + b);
  if (sign == "-") return Value::real(a - b);
  if (sign == "*") return Value::real(a * b);
  if (sign == "**") {
    if (a == 0 && b < 0) throw_failure("0.0 cannot be raised to a negative power");
    const double result = std::pow(a, b);
    if (std::isnan(result) && !std::isnan(a) && !std::isnan(b))
      throw_unsupported("complex numbers");
    if (std::isinf(result) && std::isfinite(a) && std::isfinite(b))
      throw_failure("the result of ** is too large");
    return Value::real(result);
  }
  if (b == 0) throw_failure("float division by zero");
  if (sign == "/") return Value::real(a / b);
  const double remainder = floor_remainder(a, b);
  if (sign == "%") return Value::real(remainder);
  // As Python has it: from the exact remainder, then to the nearest whole number.
  const double quotient = (a - remainder) / b;
  const double floor = std::floor(quotient);
  if (quotient == 0) return Value::real(std::copysign(0.0, a / b));
  return Value::real(quotient - floor > 0.5 ? floor + 1 : floor);
}

bool less_items(Heap& heap, const Values& a, const Values& b, std::string_view sign) {
  const std::size_t n = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < n; ++i) {
    if (!equals(heap, a[i], b[i])) return less(heap, a[i], b[i], sign);
  }
  return a.size() < b.size();
}

}  // namespace

Value arithmetic(Heap& heap, std::string_view sign, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return integer_arithmetic(sign, a.to_int(), b.to_int());
    return float_arithmetic(sign, a.to_double(), b.to_double());
  }
  if (sign == "+" && a.is_string() && b.is_string()) return join_strings(heap, a, b);
  if (sign == "+" && a.has_items() && a.kind() == b.kind()) return join_values(heap, a, b);
  if (sign == "*" && is_sequence(a) && b.is_integral()) return repeat(heap, a, b.to_int());
  if (sign == "*" && a.is_integral() && is_sequence(b)) return repeat(heap, b, a.to_int());
  if (a.is_safe() && sign == "%") throw_unsupported("% of a string that is marked safe");
  if (sign == "%" && a.is_string()) return format_percent(heap, a, b);
  fail_operands(sign, a, b);
}

Value negate(const Value& value) {
  if (value.is_undefined()) throw_failure("{}", value.text());
  if (value.is(Kind::kFloat)) return Value::real(-value.to_double());
  if (!value.is_integral()) throw_failure("bad operand type for unary -: '{}'", type_name(value));
  if (value.to_int() == INT64_MIN) fail_range();
  return Value::integer(-value.to_int());
}

Value unary_plus(const Value& value) {
  if (value.is_undefined()) throw_failure("{}", value.text());
  if (!value.is_number()) throw_failure("bad operand type for unary +: '{}'", type_name(value));
  return value.is_integral() ? Value::integer(value.to_int()) : value;
}

bool less(Heap& heap, const Value& a, const Value& b, std::string_view sign) {
  heap.step();
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.to_int() < b.to_int();
    return a.to_double() < b.to_double();
  }
  if (a.is_string() && b.is_string()) {  // UTF-8 sorts as its code points do
    heap.step(static_cast<std::int64_t>(a.text().size()) / 256);
    return a.text() < b.text();
  }
  if (a.has_items() && a.kind() == b.kind()) return less_items(heap, a.items(), b.items(), sign);
  for (const Value* operand : {&a, &b}) {
    if (operand->is_undefined()) throw_failure("{}", operand->text());
  }
  throw_failure("'{}' not supported between instances of '{}' and '{}'", sign, type_name(a),
                type_name(b));
}

double round_float(double value, std::int64_t digits) {
  if (!std::isfinite(value) || digits > 400) return value;
  if (digits < -400) return std::copysign(0.0, value);
  if (digits >= 0) return std::strtod(fmt::format("{:.{}f}", value, digits).c_str(), nullptr);
  // Whole tens: the digits of the exact value, cut and rounded as text is too much; doubles hold
  // powers of ten up to 10^22 exactly.
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(value / unit) * unit;
}

}  // namespace windlass::jinja

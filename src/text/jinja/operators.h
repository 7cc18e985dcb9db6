// Python's operators on values.
#pragma once

#include <string_view>

#include "src/text/jinja/value.h"

namespace windlass::jinja {

// sign: + - * / // % **. Failure as Python's TypeError and ZeroDivisionError, and where an integer
// leaves 64 bits.
Value arithmetic(Heap& heap, std::string_view sign, const Value& a, const Value& b);
Value negate(const Value& value);
Value unary_plus(const Value& value);
// a < b. Failure for values without an order. sign: the operator as written, for the message.
bool less(Heap& heap, const Value& a, const Value& b, std::string_view sign = "<");
// Python's round(value, digits) of a float: exact, halves to even.
double round_float(double value, std::int64_t digits);

}  // namespace windlass::jinja

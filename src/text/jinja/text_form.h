// Values as text: Python's str() and repr(), and JSON both ways.
#pragma once

#include <optional>
#include <string>

#include "src/text/jinja/value.h"

namespace windlass::jinja {

// What {{ value }} prints. Failure(kUnsupported) for what Python prints with its address.
std::string to_str(Heap& heap, const Value& value);
void append_str(TextBuilder& out, const Value& value);
std::string to_repr(Heap& heap, const Value& value);

// Python's repr of a float: the shortest digits that read back as the same.
std::string format_float(double value);

// Python's int(text, base) and float(text). Nothing where those fail; Failure where the number is
// beyond 64 bits.
std::optional<std::int64_t> parse_int(std::string_view text, int base);
std::optional<double> parse_float(std::string_view text);

struct JsonStyle {
  std::optional<std::string> indent;  // of one level; nothing: all on one line
  std::string item_separator = ", ", key_separator = ": ";
  bool ensure_ascii = false, sort_keys = false;
};
// json.dumps as chat templates get it. Failure for what JSON has no form for.
std::string to_json_text(Heap& heap, const Value& value, const JsonStyle& style);

}  // namespace windlass::jinja

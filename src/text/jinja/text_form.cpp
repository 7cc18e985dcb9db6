#include "src/text/jinja/text_form.h"

#include <array>
#include <charconv>
#include <cmath>

#include "src/text/jinja/unicode.h"
#include "src/text/utf8.h"

namespace windlass::jinja {
namespace {

void append_repr(TextBuilder& out, const Value& value);

void append_escape(TextBuilder& out, std::int32_t c) {
  if (c == '\n') return out.append("\\n");
  if (c == '\r') return out.append("\\r");
  if (c == '\t') return out.append("\\t");
  if (c < 0x100) return out.append(fmt::format("\\x{:02x}", c));
  if (c < 0x10000) return out.append(fmt::format("\\u{:04x}", c));
  out.append(fmt::format("\\U{:08x}", c));
}

void append_string_repr(TextBuilder& out, std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const std::string_view quote = has_single && !has_double ? "\"" : "'";
  out.append(quote);
  std::size_t plain = 0;  // [plain, at) needs no escape and is not yet out
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = next_code_point(text.substr(at));
    const bool escaped = text.substr(at, 1) == quote || point.value == '\\';
    if (escaped || !is_printable(point.value)) {
      out.append(text.substr(plain, at - plain));
      if (escaped) out.append("\\");
      if (!escaped) append_escape(out, point.value);
      plain = escaped ? at : at + point.size_bytes;
    }
    at += point.size_bytes;
  }
  out.heap().step(static_cast<std::int64_t>(text.size()) / 16);
  out.append(text.substr(plain));
  out.append(quote);
}

void append_items(TextBuilder& out, const Values& items, std::string_view open,
                  std::string_view close) {
  out.append(open);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(", ");
    append_repr(out, items[i]);
  }
  out.append(close);
}

void append_dict(TextBuilder& out, const Dict& dict) {
  out.append("{");
  for (std::size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) out.append(", ");
    append_repr(out, dict.entries[i].first);
    out.append(": ");
    append_repr(out, dict.entries[i].second);
  }
  out.append("}");
}

void append_dict_view(TextBuilder& out, const DictView& view) {
  constexpr std::array<std::string_view, 3> kNames = {"dict_keys([", "dict_values([",
                                                      "dict_items(["};
  Values items;
  const auto n = static_cast<std::int64_t>(view.dict.dict().entries.size());
  for (std::int64_t i = 0; i < n; ++i) {
    const auto& [key, value] = view.dict.dict().entries[static_cast<std::size_t>(i)];
    if (view.part == DictPart::kItems) {
      items.push_back(Value::tuple(&out.heap(), {key, value}));
    } else {
      items.push_back(view.part == DictPart::kKeys ? key : value);
    }
  }
  append_items(out, items, kNames[static_cast<std::size_t>(view.part)], "])");
}

std::string range_text(const Range& range) {
  return range.step == 1 ? fmt::format("range({}, {})", range.start, range.stop)
                         : fmt::format("range({}, {}, {})", range.start, range.stop, range.step);
}

void append_repr(TextBuilder& out, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return out.append("Undefined");
    case Kind::kNone:
      return out.append("None");
    case Kind::kBool:
      return out.append(value.to_int() != 0 ? "True" : "False");
    case Kind::kInt:
      return out.append(std::to_string(value.to_int()));
    case Kind::kFloat:
      return out.append(format_float(value.to_double()));
    case Kind::kString:
      return append_string_repr(out, value.text());
    case Kind::kList:
      return append_items(out, value.items(), "[", "]");
    case Kind::kTuple:
      return append_items(out, value.items(), "(", value.items().size() == 1 ? ",)" : ")");
    case Kind::kDict:
      return append_dict(out, value.dict());
    case Kind::kDictView:
      return append_dict_view(out, value.object<DictView>());
    case Kind::kRange:
      return out.append(range_text(value.object<Range>()));
    default:
      throw_unsupported("printing a {} (a list comes from the filter 'list')", type_name(value));
  }
}

// Digits in base `base` with single underscores between them, as Python's literals allow.
bool drop_underscores(std::string& digits) {
  std::string plain;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const bool between = i > 0 && i + 1 < digits.size() && digits[i - 1] != '_';
    if (digits[i] == '_' && !between) return false;
    if (digits[i] != '_') plain += digits[i];
  }
  digits = plain;
  return !digits.empty();
}

// "0x", "0o", "0b" before digits of that base.
void drop_base_prefix(std::string& digits, int base) {
  const char mark = base == 16 ? 'x' : base == 8 ? 'o' : base == 2 ? 'b' : '\0';
  if (mark == '\0' || digits.size() < 3 || digits[0] != '0') return;
  if ((digits[1] | 0x20) == mark) digits.erase(0, digits[2] == '_' ? 3 : 2);
}

}  // namespace

void append_str(TextBuilder& out, const Value& value) {
  if (value.is_undefined()) return;
  if (value.is_string()) return out.append(value.text());
  append_repr(out, value);
}

std::string to_str(Heap& heap, const Value& value) {
  TextBuilder out(heap);
  append_str(out, value);
  return out.take();
}

std::string to_repr(Heap& heap, const Value& value) {
  TextBuilder out(heap);
  append_repr(out, value);
  return out.take();
}

std::string format_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[32];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string_view shortest(buffer, static_cast<std::size_t>(end - buffer));
  const std::size_t mark = shortest.find('e');
  const int exponent = std::stoi(std::string(shortest.substr(mark + 1)));
  if (exponent < -4 || exponent >= 16) return std::string(shortest);
  std::string digits;
  for (const char c : shortest.substr(0, mark)) {
    if (c != '.' && c != '-') digits += c;
  }
  std::string text = std::signbit(value) ? "-" : "";
  if (exponent < 0) {
    text += "0.";
    text.append(static_cast<std::size_t>(-exponent - 1), '0');
    return text.append(digits);
  }
  const auto n_whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() < n_whole + 1) digits.append(n_whole + 1 - digits.size(), '0');
  text.append(digits, 0, n_whole);
  text += '.';
  return text.append(digits, n_whole);
}

std::optional<std::int64_t> parse_int(std::string_view text, int base) {
  text = strip(text, Side::kBoth);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  std::string digits(text);
  drop_base_prefix(digits, base);
  if (!drop_underscores(digits) || digits[0] == '-' || digits[0] == '+') return std::nullopt;
  if (negative) digits.insert(digits.begin(), '-');
  std::int64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (end != digits.data() + digits.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) throw_unsupported("integers beyond 64 bits");
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

std::optional<double> parse_float(std::string_view text) {
  text = strip(text, Side::kBoth);
  if (!text.empty() && text[0] == '+' && text.substr(1, 1) != "-") text.remove_prefix(1);
  std::string digits(text);
  if (!drop_underscores(digits)) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end != digits.data() + digits.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    // Too large is infinity, too small zero; from_chars leaves the value alone.
    return std::strtod(digits.c_str(), nullptr);
  }
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

}  // namespace windlass::jinja

#include "src/text/jinja/string_format.h"

#include <algorithm>
#include <cmath>

#include "src/text/jinja/text_form.h"
#include "src/text/jinja/unicode.h"

namespace windlass::jinja {
namespace {

constexpr std::int64_t kMaxWidth = 1'000'000;

// %[(key)][flags][width][.precision]type
struct PercentField {
  std::string_view key;
  bool has_key = false, left = false, zero = false, plus = false, blank = false, alternate = false;
  std::int64_t width = 0, precision = -1;
  char type = '\0';
};

class PercentFormatter {
 public:
  PercentFormatter(Heap& heap, std::string_view format, const Value& values)
      : out_(heap), rest_(format), values_(values) {}

  std::string run() {
    while (!rest_.empty()) {
      const std::size_t plain = std::min(rest_.find('%'), rest_.size());
      out_.append(rest_.substr(0, plain));
      rest_.remove_prefix(plain);
      if (!rest_.empty()) write_field();
    }
    const bool all_used = used_ > 0 || values_.is(Kind::kDict);
    const std::size_t n = values_.is(Kind::kTuple) ? values_.items().size() : all_used ? used_ : 1;
    if (used_ < n) throw_failure("not all arguments converted during string formatting");
    return out_.take();
  }

 private:
  char take() {
    if (rest_.empty()) throw_failure("incomplete format");
    const char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }
  std::int64_t take_number() {
    std::int64_t number = 0;
    while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9')
      number = std::min(number * 10 + (take() - '0'), kMaxWidth + 1);
    if (number > kMaxWidth) throw_unsupported("a format wider than {}", kMaxWidth);
    return number;
  }

  PercentField take_field() {
    PercentField field;
    take();  // the %
    if (!rest_.empty() && rest_[0] == '(') {
      const std::size_t end = rest_.find(')');
      if (end == std::string_view::npos) throw_failure("incomplete format key");
      field.key = rest_.substr(1, end - 1);
      field.has_key = true;
      rest_.remove_prefix(end + 1);
    }
    for (; !rest_.empty() && std::string_view("-0+ #").find(rest_[0]) != std::string_view::npos;
         take()) {
      field.left |= rest_[0] == '-';
      field.zero |= rest_[0] == '0';
      field.plus |= rest_[0] == '+';
      field.blank |= rest_[0] == ' ';
      field.alternate |= rest_[0] == '#';
    }
    field.width = take_number();
    if (!rest_.empty() && rest_[0] == '.') {
      take();
      field.precision = take_number();
    }
    field.type = take();
    return field;
  }

  Value value_of(const PercentField& field) {
    if (field.has_key) {
      if (!values_.is(Kind::kDict)) throw_failure("format requires a mapping");
      const Value* value = values_.dict().find(out_.heap(), field.key);
      if (value == nullptr)
        throw_failure("the format names the key '{}', which is not there", field.key);
      return *value;
    }
    const bool is_tuple = values_.is(Kind::kTuple);
    if (used_ >= (is_tuple ? values_.items().size() : 1))
      throw_failure("not enough arguments for format string");
    return is_tuple ? values_.items()[used_++] : (++used_, values_);
  }

  void write_field() {
    const PercentField field = take_field();
    if (field.type == '%') return out_.append("%");
    const Value value = value_of(field);
    switch (field.type) {
      case 's':
        return write_text(field, to_str(out_.heap(), value));
      case 'r':
        return write_text(field, to_repr(out_.heap(), value));
      case 'c':
        return write_text(field, value.is_string() ? value.text() : character(value));
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return write_integer(field, value);
      case 'f':
      case 'F':
      case 'e':
      case 'E':
      case 'g':
      case 'G':
        return write_float(field, value);
      default:
        throw_failure("unsupported format character '{}'", field.type);
    }
  }

  static std::string character(const Value& value) {
    const bool fits = value.is_integral() && value.to_int() >= 0 && value.to_int() < 0xD800;
    if (!fits) throw_failure("%c requires int or char");
    std::string text;
    append_utf8(text, static_cast<std::int32_t>(value.to_int()));
    return text;
  }

  void write_text(const PercentField& field, std::string_view text) {
    if (field.precision >= 0) text = text.substr(0, offset_of(text, field.precision));
    const std::int64_t padding = field.width - count_code_points(text);
    if (!field.left) out_.repeat(" ", padding);
    out_.append(text);
    if (field.left) out_.repeat(" ", padding);
  }

  // sign and digits to the field's width.
  void write_number(const PercentField& field, bool negative, std::string_view prefix,
                    std::string digits) {
    std::string sign = negative ? "-" : field.plus ? "+" : field.blank ? " " : "";
    sign += prefix;
    const auto n = static_cast<std::int64_t>(sign.size() + digits.size());
    if (field.zero && !field.left && field.width > n)
      digits.insert(0, static_cast<std::size_t>(field.width - n), '0');
    PercentField plain = field;
    plain.precision = -1;
    write_text(plain, sign + digits);
  }

  void write_integer(const PercentField& field, const Value& value) {
    const bool is_decimal_type = field.type == 'd' || field.type == 'i' || field.type == 'u';
    if (!value.is_number() || (!is_decimal_type && !value.is_integral()))
      throw_failure("%{} format: a number is required, not {}", field.type, type_name(value));
    if (value.is(Kind::kFloat) && !(std::abs(value.to_double()) < 9e18))
      throw_unsupported("integers beyond 64 bits");
    const std::int64_t number =
        value.is_integral() ? value.to_int() : static_cast<std::int64_t>(value.to_double());
    const std::uint64_t magnitude =
        number < 0 ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
    std::string digits, prefix;
    if (field.type == 'x') digits = fmt::format("{:x}", magnitude), prefix = "0x";
    if (field.type == 'X') digits = fmt::format("{:X}", magnitude), prefix = "0X";
    if (field.type == 'o') digits = fmt::format("{:o}", magnitude), prefix = "0o";
    if (is_decimal_type) digits = fmt::format("{}", magnitude);
    const auto n = static_cast<std::int64_t>(digits.size());
    if (field.precision > n) digits.insert(0, static_cast<std::size_t>(field.precision - n), '0');
    write_number(field, number < 0, field.alternate ? prefix : "", digits);
  }

  void write_float(const PercentField& field, const Value& value) {
    if (!value.is_number()) throw_failure("must be real number, not {}", type_name(value));
    const double number = value.to_double();
    const double magnitude = std::abs(number);
    const auto precision =
        static_cast<int>(std::min<std::int64_t>(field.precision < 0 ? 6 : field.precision, 400));
    std::string digits;
    switch (field.type | 0x20) {
      case 'f':
        digits = fmt::format("{:.{}f}", magnitude, precision);
        break;
      case 'e':
        digits = fmt::format("{:.{}e}", magnitude, precision);
        break;
      default:
        digits = fmt::format("{:.{}g}", magnitude, std::max(precision, 1));
    }
    if ((field.type & 0x20) == 0)
      std::transform(digits.begin(), digits.end(), digits.begin(),
                     [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c; });
    write_number(field, std::signbit(number) && !std::isnan(number), "", digits);
  }

  TextBuilder out_;
  std::string_view rest_;
  const Value& values_;
  std::size_t used_ = 0;
};

}  // namespace

Value format_percent(Heap& heap, const Value& format, const Value& values) {
  return Value::string(&heap, PercentFormatter(heap, format.text(), values).run());
}

Value format_braces(Heap& heap, const Value& format, const Arguments& arguments) {
  TextBuilder out(heap);
  std::string_view rest = format.text();
  std::size_t next = 0;
  while (!rest.empty()) {
    const std::size_t plain = std::min(rest.find_first_of("{}"), rest.size());
    out.append(rest.substr(0, plain));
    rest.remove_prefix(plain);
    if (rest.empty()) break;
    if (rest.starts_with("{{") || rest.starts_with("}}")) {
      out.append(rest.substr(0, 1));
      rest.remove_prefix(2);
      continue;
    }
    const std::size_t end = rest.find('}');
    if (rest[0] == '}' || end == std::string_view::npos)
      throw_failure("single '{}' encountered in format string", rest[0]);
    const std::string field(rest.substr(1, end - 1));
    rest.remove_prefix(end + 1);
    if (field.find_first_of("{:!.[") != std::string::npos)
      throw_unsupported("the format field '{{{}}}'", field);
    const bool by_number = field.empty() || (field[0] >= '0' && field[0] <= '9');
    const std::int64_t i = field.empty() ? static_cast<std::int64_t>(next++)
                           : by_number   ? parse_int(field, 10).value_or(INT64_MAX)
                                         : 0;
    const bool in_range = static_cast<std::uint64_t>(i) < arguments.positional.size();
    const Value* value = !by_number ? arguments.find(field)
                         : in_range ? &arguments.positional[static_cast<std::size_t>(i)]
                                    : nullptr;
    if (value == nullptr) throw_failure("the format field '{{{}}}' has no argument", field);
    append_str(out, *value);
  }
  return Value::string(&heap, out.take());
}

}  // namespace windlass::jinja

// Filters that make text.
#include <algorithm>

#include "src/text/jinja/filter_tables.h"
#include "src/text/jinja/interpreter.h"
#include "src/text/jinja/string_format.h"
#include "src/text/jinja/text_form.h"
#include "src/text/jinja/text_ops.h"
#include "src/text/utf8.h"

namespace windlass::jinja {
namespace {

using Args = BoundArguments;

template <std::string (*kMapping)(std::string_view)>
Value map_text(Interpreter& in, const Value& value, const Args&) {
  const std::string text = to_str(in.heap(), value);
  charge_text(in.heap(), text);
  // As in Jinja the title is joined from words, which makes it a plain string.
  const bool safe = value.is_safe() && kMapping != title_words;
  return Value::string(&in.heap(), kMapping(text), safe);
}

Value to_string(Interpreter& in, const Value& value, const Args&) {
  return value.is_string() ? value : in.string(to_str(in.heap(), value));
}

Value trim(Interpreter& in, const Value& value, const Args& args) {
  const std::string text = to_str(in.heap(), value);
  std::optional<std::string> characters;
  if (args.has_value(0)) characters = args.text(0, "");
  return Value::string(&in.heap(),
                       std::string(strip_text(in.heap(), text, Side::kBoth, characters)),
                       value.is_safe());
}

Value replace(Interpreter& in, const Value& value, const Args& args) {
  const std::int64_t count = args.has_value(2) ? args.integer(2, -1) : -1;
  return in.string(replace_text(in.heap(), to_str(in.heap(), value), to_str(in.heap(), args[0]),
                                to_str(in.heap(), args[1]), count));
}

const std::string& text_of(const Value& value, const char* filter) {
  if (value.is_undefined()) throw_failure("{}", value.text());
  if (!value.is_string()) throw_failure("'{}' wants a string, not {}", filter, type_name(value));
  return value.text();
}

std::string blanks(Heap& heap, std::int64_t n) {
  TextBuilder out(heap);
  out.repeat(" ", n);
  return out.take();
}

Value indent(Interpreter& in, const Value& value, const Args& args) {
  const bool by_text = args.has(0) && args[0].is_string();
  const std::string step = by_text ? args.text(0, "") : blanks(in.heap(), args.integer(0, 4));
  const bool first = args.truth(1, false), blank = args.truth(2, false);
  // The newline at the end is Jinja's own way to keep the last one.
  std::string text = text_of(value, "indent");
  text += '\n';
  charge_text(in.heap(), text);
  TextBuilder out(in.heap());
  bool is_first = true;
  for (const std::string_view line : split_lines(text, false)) {
    if (!is_first) out.append("\n");
    if (is_first ? first : blank || !line.empty()) out.append(step);
    out.append(line);
    is_first = false;
  }
  return Value::string(&in.heap(), out.take(), value.is_safe());
}

Value truncate(Interpreter& in, const Value& value, const Args& args) {
  const std::string_view text = text_of(value, "truncate");
  const std::int64_t length = args.integer(0, 255);
  const std::string end = args.text(2, "...");
  const std::int64_t leeway = args.has_value(3) ? args.integer(3, 5) : 5;
  const std::int64_t room = length - count_code_points(end);
  if (room < 0) throw_failure("'truncate': the length {} is less than its end's", length);
  if (leeway < 0) throw_failure("'truncate': the leeway {} is negative", leeway);
  if (value.n_code_points() <= length + leeway) return value;
  charge_text(in.heap(), text);
  std::string_view kept = text.substr(0, offset_of(text, room));
  if (!args.truth(1, false)) kept = kept.substr(0, std::min(kept.rfind(' '), kept.size()));
  TextBuilder out(in.heap());
  out.append(kept);
  out.append(end);
  return in.string(out.take());
}

Value center(Interpreter& in, const Value& value, const Args& args) {
  return in.string(center_text(in.heap(), to_str(in.heap(), value), args.integer(0, 80), " "));
}

// Words as runs of letters, digits and underscores.
Value wordcount(Interpreter& in, const Value& value, const Args&) {
  const std::string text = to_str(in.heap(), value);
  charge_text(in.heap(), text);
  std::int64_t count = 0;
  bool in_word = false;
  for (const std::string_view character : split_code_points(text)) {
    const std::int32_t c = next_code_point(character).value;
    const bool is_word = c == '_' || is_letter(c) || is_decimal(c);
    count += is_word && !in_word ? 1 : 0;
    in_word = is_word;
  }
  return Value::integer(count);
}

template <bool kForced>
Value escape(Interpreter& in, const Value& value, const Args&) {
  if (!kForced && value.is_safe()) return value;
  TextBuilder out(in.heap());
  append_escaped(out, to_str(in.heap(), value));
  return Value::string(&in.heap(), out.take(), true);
}

Value mark_safe(Interpreter& in, const Value& value, const Args&) {
  return Value::string(&in.heap(), to_str(in.heap(), value), true);
}

Value format(Interpreter& in, const Value& value, const Args& args) {
  const Arguments& given = args.raw();
  if (!given.positional.empty() && !given.named.empty())
    throw_failure("'format' takes arguments by position or by name, not both");
  const Value text = in.string(to_str(in.heap(), value));
  if (given.named.empty())
    return format_percent(in.heap(), text, Value::tuple(&in.heap(), given.positional));
  std::vector<Dict::Entry> entries;
  for (const auto& [name, argument] : given.named) entries.emplace_back(in.string(name), argument);
  return format_percent(in.heap(), text, make_dict(in.heap(), std::move(entries)));
}

Value join(Interpreter& in, const Value& value, const Args& args) {
  const std::string separator = args.has(0) ? to_str(in.heap(), args[0]) : std::string();
  const auto source = iterate(in.heap(), value);
  TextBuilder out(in.heap());
  bool first = true;
  for (Value item; source->next(item); first = false) {
    if (!first) out.append(separator);
    append_str(out, args.has_value(1) ? in.path(item, args[1]) : item);
  }
  return in.string(out.take());
}

void read_separators(JsonStyle& style, const Value& separators) {
  const bool fits = separators.has_items() && separators.items().size() == 2 &&
                    separators.items()[0].is_string() && separators.items()[1].is_string();
  if (!fits) throw_failure("'tojson': separators must be two strings");
  style.item_separator = separators.items()[0].text();
  style.key_separator = separators.items()[1].text();
}

Value tojson(Interpreter& in, const Value& value, const Args& args) {
  JsonStyle style;
  style.ensure_ascii = args.truth(0, false);
  if (args.has_value(1)) {
    style.indent = args[1].is_string() ? args[1].text() : blanks(in.heap(), args.integer(1, 0));
    style.item_separator.resize(1);  // no blank before a new line
  }
  if (args.has_value(2)) read_separators(style, args[2]);
  style.sort_keys = args.truth(3, false);
  return in.string(to_json_text(in.heap(), value, style));
}

constexpr Builtin kFilters[] = {
    {"upper", "", 0, map_text<to_upper>},
    {"lower", "", 0, map_text<to_lower>},
    {"capitalize", "", 0, map_text<capitalize>},
    {"title", "", 0, map_text<title_words>},
    {"string", "", 0, to_string},
    {"safe", "", 0, mark_safe},
    {"trim", "chars", 0, trim},
    {"replace", "old new count", 2, replace},
    {"indent", "width first blank", 0, indent},
    {"truncate", "length killwords end leeway", 0, truncate},
    {"center", "width", 0, center},
    {"wordcount", "", 0, wordcount},
    {"e", "", 0, escape<false>},
    {"escape", "", 0, escape<false>},
    {"forceescape", "", 0, escape<true>},
    {"format", "*", 0, format},
    {"join", "d attribute", 0, join},
    {"tojson", "ensure_ascii indent separators sort_keys", 0, tojson},
};

}  // namespace

std::span<const Builtin> text_filters() { return kFilters; }

}  // namespace windlass::jinja

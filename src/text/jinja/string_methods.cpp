// Methods of strings.
#include <algorithm>

#include "src/text/jinja/interpreter.h"
#include "src/text/jinja/string_format.h"
#include "src/text/jinja/text_form.h"
#include "src/text/jinja/text_ops.h"
#include "src/text/utf8.h"

namespace windlass::jinja {
namespace {

using Args = BoundArguments;

std::optional<std::string_view> optional_text(const Args& args, std::size_t i, std::string& store) {
  if (!args.has_value(i)) return std::nullopt;
  store = args.text(i, "");
  return store;
}

template <Side kSide>
Value strip_method(Interpreter& in, const Value& self, const Args& args) {
  std::string characters;
  const auto given = optional_text(args, 0, characters);
  return in.string(std::string(strip_text(in.heap(), self.text(), kSide, given)));
}

template <std::string (*kMapping)(std::string_view)>
Value map_case(Interpreter& in, const Value& self, const Args&) {
  charge_text(in.heap(), self.text());
  return in.string(kMapping(self.text()));
}

template <Side kFrom>
Value split_method(Interpreter& in, const Value& self, const Args& args) {
  std::string separator;
  const auto given = optional_text(args, 0, separator);
  return Value::list(&in.heap(),
                     split_text(in.heap(), self.text(), given, args.integer(1, -1), kFrom));
}

Value splitlines(Interpreter& in, const Value& self, const Args& args) {
  charge_text(in.heap(), self.text());
  Values lines;
  for (const std::string_view line : split_lines(self.text(), args.truth(0, false)))
    lines.push_back(in.string(std::string(line)));
  return Value::list(&in.heap(), std::move(lines));
}

// The part of the text that the arguments from i on, start and end, name.
struct Part {
  std::string_view text;
  std::size_t begin;  // byte offset in the whole
  bool exists;        // start lies within the text
};

Part part_of(Interpreter& in, const Value& self, const Args& args, std::size_t i) {
  const std::string_view text = self.text();
  if (!args.has_value(i) && !args.has_value(i + 1)) return {text, 0, true};
  charge_text(in.heap(), text);
  const std::int64_t n = self.n_code_points();
  const auto place = [&](std::size_t k, std::int64_t otherwise) {
    const std::int64_t given = args.has_value(k) ? args.integer(k, 0) : otherwise;
    return given < 0 ? std::max<std::int64_t>(given + n, 0) : std::min(given, n);
  };
  const std::int64_t start = place(i, 0), end = place(i + 1, n);
  const bool exists = start <= end && !(args.has_value(i) && args.integer(i, 0) > n);
  const std::size_t begin = offset_of(text, start);
  if (!exists) return {{}, begin, false};
  return {text.substr(begin, offset_of(text, end) - begin), begin, true};
}

// startswith and endswith: a string or a tuple of them.
template <bool kAtEnd>
Value is_at_end(Interpreter& in, const Value& self, const Args& args) {
  const Part part = part_of(in, self, args, 1);
  const auto matches = [&](const Value& affix) {
    if (!affix.is_string())
      throw_failure("'{}' takes a string or a tuple of strings, not {}",
                    kAtEnd ? "endswith" : "startswith", type_name(affix));
    in.heap().step(1 + static_cast<std::int64_t>(affix.text().size()) / 256);
    if (!part.exists) return false;
    return kAtEnd ? part.text.ends_with(affix.text()) : part.text.starts_with(affix.text());
  };
  if (!args[0].is(Kind::kTuple)) return Value::boolean(matches(args[0]));
  const Values& affixes = args[0].items();
  return Value::boolean(std::any_of(affixes.begin(), affixes.end(), matches));
}

template <bool kFromRight>
std::int64_t find_in(Interpreter& in, const Value& self, const Args& args) {
  const Part part = part_of(in, self, args, 1);
  const std::string wanted = args.text(0, "");
  if (!part.exists) return -1;
  charge_text(in.heap(), self.text());
  if (kFromRight) {
    in.heap().step(
        static_cast<std::int64_t>(std::min<std::size_t>(wanted.size(), 64) * part.text.size()) /
        4096);
  }
  const std::size_t at = kFromRight ? part.text.rfind(wanted) : find_text(part.text, wanted, 0);
  if (at == std::string_view::npos) return -1;
  return count_code_points(std::string_view(self.text()).substr(0, part.begin + at));
}

template <bool kFromRight>
Value find_method_of(Interpreter& in, const Value& self, const Args& args) {
  return Value::integer(find_in<kFromRight>(in, self, args));
}

template <bool kFromRight>
Value index_method(Interpreter& in, const Value& self, const Args& args) {
  const std::int64_t at = find_in<kFromRight>(in, self, args);
  if (at < 0) throw_failure("substring not found");
  return Value::integer(at);
}

Value count_method(Interpreter& in, const Value& self, const Args& args) {
  const Part part = part_of(in, self, args, 1);
  const std::string wanted = args.text(0, "");
  if (!part.exists) return Value::integer(0);
  charge_text(in.heap(), part.text);
  if (wanted.empty()) return Value::integer(count_code_points(part.text) + 1);
  std::int64_t count = 0;
  for (std::size_t at = 0; (at = find_text(part.text, wanted, at)) != std::string_view::npos;
       at += wanted.size())
    ++count;
  return Value::integer(count);
}

Value replace_method(Interpreter& in, const Value& self, const Args& args) {
  return in.string(replace_text(in.heap(), self.text(), args.text(0, ""), args.text(1, ""),
                                args.integer(2, -1)));
}

Value join_method(Interpreter& in, const Value& self, const Args& args) {
  TextBuilder out(in.heap());
  const auto source = iterate(in.heap(), args[0]);
  bool first = true;
  for (Value item; source->next(item); first = false) {
    if (!item.is_string()) throw_failure("join: expected str instance, {} found", type_name(item));
    if (!first) out.append(self.text());
    out.append(item.text());
  }
  return in.string(out.take());
}

template <Side kSide>
Value justify(Interpreter& in, const Value& self, const Args& args) {
  const std::string fill = args.text(1, " ");
  if (count_code_points(fill) != 1)
    throw_failure("the fill character must be exactly one character long");
  const std::int64_t width = args.integer(0, 0);
  if (kSide == Side::kBoth) return in.string(center_text(in.heap(), self.text(), width, fill));
  TextBuilder out(in.heap());
  if (kSide == Side::kLeft) out.append(self.text());
  out.repeat(fill, width - self.n_code_points());
  if (kSide == Side::kRight) out.append(self.text());
  return in.string(out.take());
}

Value zfill(Interpreter& in, const Value& self, const Args& args) {
  const std::string& text = self.text();
  const bool has_sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  TextBuilder out(in.heap());
  if (has_sign) out.append(text.substr(0, 1));
  out.repeat("0", args.integer(0, 0) - self.n_code_points());
  out.append(std::string_view(text).substr(has_sign ? 1 : 0));
  return in.string(out.take());
}

template <bool kFromRight>
Value partition(Interpreter& in, const Value& self, const Args& args) {
  const std::string separator = args.text(0, "");
  if (separator.empty()) throw_failure("empty separator");
  charge_text(in.heap(), self.text());
  const std::string_view text = self.text();
  if (kFromRight) {
    in.heap().step(
        static_cast<std::int64_t>(std::min<std::size_t>(separator.size(), 64) * text.size()) /
        4096);
  }
  const std::size_t at = kFromRight ? text.rfind(separator) : find_text(text, separator, 0);
  const auto make = [&](std::string_view part) { return in.string(std::string(part)); };
  if (at == std::string_view::npos) {
    Values parts = {self, make(""), make("")};
    if (kFromRight) std::swap(parts[0], parts[2]);
    return Value::tuple(&in.heap(), std::move(parts));
  }
  return Value::tuple(&in.heap(), {make(text.substr(0, at)), make(separator),
                                   make(text.substr(at + separator.size()))});
}

template <bool kSuffix>
Value remove_affix(Interpreter& in, const Value& self, const Args& args) {
  const std::string affix = args.text(0, "");
  std::string_view text = self.text();
  charge_text(in.heap(), text);
  if (kSuffix && text.ends_with(affix)) text.remove_suffix(affix.size());
  if (!kSuffix && text.starts_with(affix)) text.remove_prefix(affix.size());
  return in.string(std::string(text));
}

// All characters are of a class, and there are some.
template <bool (*kIs)(std::int32_t)>
Value all_are(Interpreter& in, const Value& self, const Args&) {
  charge_text(in.heap(), self.text());
  std::string_view rest = self.text();
  bool all = !rest.empty();
  while (all && !rest.empty()) {
    const CodePoint point = next_code_point(rest);
    all = kIs(point.value);
    rest.remove_prefix(point.size_bytes);
  }
  return Value::boolean(all);
}

bool is_letter_or_digit(std::int32_t c) { return is_letter(c) || is_decimal(c); }

// str.isupper and str.islower: some letter with case, and none of the other case.
template <bool (*kWanted)(std::int32_t), bool (*kOther)(std::int32_t)>
Value has_case(Interpreter& in, const Value& self, const Args&) {
  charge_text(in.heap(), self.text());
  bool some = false;
  for (std::string_view rest = self.text(); !rest.empty();) {
    const CodePoint point = next_code_point(rest);
    if (kOther(point.value)) return Value::boolean(false);
    some |= kWanted(point.value);
    rest.remove_prefix(point.size_bytes);
  }
  return Value::boolean(some);
}

Value format_method(Interpreter& in, const Value& self, const Args& args) {
  return format_braces(in.heap(), self, args.raw());
}

constexpr Builtin kStringMethods[] = {
    {"strip", "chars", 0, strip_method<Side::kBoth>},
    {"lstrip", "chars", 0, strip_method<Side::kLeft>},
    {"rstrip", "chars", 0, strip_method<Side::kRight>},
    {"split", "sep maxsplit", 0, split_method<Side::kLeft>},
    {"rsplit", "sep maxsplit", 0, split_method<Side::kRight>},
    {"splitlines", "keepends", 0, splitlines},
    {"startswith", "prefix start end", 1, is_at_end<false>},
    {"endswith", "suffix start end", 1, is_at_end<true>},
    {"replace", "old new count", 2, replace_method},
    {"upper", "", 0, map_case<to_upper>},
    {"lower", "", 0, map_case<to_lower>},
    {"title", "", 0, map_case<to_title>},
    {"capitalize", "", 0, map_case<capitalize>},
    {"swapcase", "", 0, map_case<swap_case>},
    {"find", "sub start end", 1, find_method_of<false>},
    {"rfind", "sub start end", 1, find_method_of<true>},
    {"index", "sub start end", 1, index_method<false>},
    {"rindex", "sub start end", 1, index_method<true>},
    {"count", "sub start end", 1, count_method},
    {"join", "iterable", 1, join_method},
    {"format", "*", 0, format_method},
    {"center", "width fillchar", 1, justify<Side::kBoth>},
    {"ljust", "width fillchar", 1, justify<Side::kLeft>},
    {"rjust", "width fillchar", 1, justify<Side::kRight>},
    {"zfill", "width", 1, zfill},
    {"partition", "sep", 1, partition<false>},
    {"rpartition", "sep", 1, partition<true>},
    {"removeprefix", "prefix", 1, remove_affix<false>},
    {"removesuffix", "suffix", 1, remove_affix<true>},
    {"isspace", "", 0, all_are<is_space>},
    {"isalpha", "", 0, all_are<is_letter>},
    {"isdigit", "", 0, all_are<is_decimal>},
    {"isdecimal", "", 0, all_are<is_decimal>},
    {"isnumeric", "", 0, all_are<is_decimal>},
    {"isalnum", "", 0, all_are<is_letter_or_digit>},
    {"isupper", "", 0, has_case<is_upper, is_lower>},
    {"islower", "", 0, has_case<is_lower, is_upper>},
};

}  // namespace

const Builtin* find_string_method(std::string_view name) {
  for (const Builtin& method : kStringMethods) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

}  // namespace windlass::jinja

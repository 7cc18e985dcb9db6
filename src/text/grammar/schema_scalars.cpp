#include "src/text/grammar/schema_scalars.h"

#include <algorithm>
#include <cmath>

#include "src/text/grammar/json_text.h"
#include "src/text/grammar/schema_keywords.h"

namespace windlass {
namespace {

constexpr const char* kBounds[] = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};

const char* const kDate =
    "^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|"
    "02-(0[1-9]|1[0-9]|2[0-8]))$";  // the 29th of February is left out: not every year has it
const char* const kTime =
    "^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
    "$";
const char* const kUuid = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";

Expression string_format(const std::string& name, const std::string& where) {
  if (name == "date") return json_pattern(kDate, where);
  if (name == "time") return json_pattern(kTime, where);
  if (name == "uuid") return json_pattern(kUuid, where);
  if (name == "date-time") {
    return Expression::sequence(
        {json_pattern(kDate, where), Expression::literal("T"), json_pattern(kTime, where)});
  }
  fail(ErrorCode::kUsage,
       "JSON schema: {}: format {} is not supported; there are date, time, date-time, uuid", where,
       name);
}

struct WholeRange {
  std::int64_t least = -kMostJsonInteger, most = kMostJsonInteger;
};

// The whole number next to a bound, on its inner side, within what is generated.
struct EdgeNumber {
  std::int64_t number = 0;
  bool exact = false;  // the bound itself
};
EdgeNumber whole_edge(const SchemaJson& bound, bool lower) {
  constexpr std::int64_t kMost = kMostJsonInteger;
  if (bound.is_number_unsigned()) {
    const auto value = bound.get<std::uint64_t>();
    return {static_cast<std::int64_t>(std::min<std::uint64_t>(value, kMost)), value <= kMost};
  }
  if (bound.is_number_integer()) {
    const auto value = bound.get<std::int64_t>();
    return {std::clamp(value, -kMost, kMost), value >= -kMost};
  }
  const double value = bound.get<double>();
  const double whole = std::clamp(lower ? std::ceil(value) : std::floor(value), -9.9e15, 9.9e15);
  return {static_cast<std::int64_t>(whole), whole == value};
}

// The whole numbers within the bounds; strict: exclusive bounds exclude their edge.
WholeRange whole_numbers(const SchemaJson& s, bool strict, const std::string& where) {
  WholeRange range;
  const auto bound = [&](const char* key, bool lower, std::int64_t shift) {
    if (!s.contains(key)) return;
    if (!s[key].is_number()) {
      fail(ErrorCode::kUsage, "JSON schema: {}: {} {} is no number", where, key,
           brief_json(s[key]));
    }
    const EdgeNumber edge = whole_edge(s[key], lower);
    const std::int64_t number = edge.number + (strict && edge.exact ? shift : 0);
    if (lower) {
      range.least = std::max(range.least, number);
    } else {
      range.most = std::min(range.most, number);
    }
  };
  bound("minimum", true, 0);
  bound("exclusiveMinimum", true, 1);
  bound("maximum", false, 0);
  bound("exclusiveMaximum", false, -1);
  return range;
}

}  // namespace

Expression schema_string(const SchemaJson& s, const Expression& character,
                         const std::string& where) {
  Expression content;
  const bool patterned = s.contains("pattern") || s.contains("format");
  if (patterned) {
    for (const char* other : {"minLength", "maxLength", "format"}) {
      if (s.contains(other) && (s.contains("pattern") || other != std::string("format")))
        fail(ErrorCode::kUsage, "JSON schema: {}: {} beside {} is not supported", where, other,
             s.contains("pattern") ? "pattern" : "format");
    }
    const SchemaJson& value = s.contains("pattern") ? s["pattern"] : s["format"];
    if (!value.is_string())
      fail(ErrorCode::kUsage, "JSON schema: {}: {} is no text", where, brief_json(value));
    content = s.contains("pattern")
                  ? json_pattern(value.get<std::string>(), "JSON schema: " + where)
                  : string_format(value.get<std::string>(), where);
  } else {
    const std::int64_t least = schema_count(s, "minLength", 0, where);
    const std::int64_t most = schema_count(s, "maxLength", -1, where);
    check_count_order(least, most, "minLength, maxLength", where);
    content = Expression::repeat(character, least, most);
  }
  return Expression::sequence(
      {Expression::literal("\""), std::move(content), Expression::literal("\"")});
}

Expression schema_integer(const SchemaJson& s, const std::string& where) {
  const WholeRange range = whole_numbers(s, true, where);
  if (range.most < range.least)
    throw ImpossibleSchema(
        schema_message(where, fmt::format("no integer is from {} to {}", range.least, range.most)));
  return json_integer(range.least, range.most);
}

// Of bounded numbers: the whole ones, and "n.f" between two whole numbers that both are within the
// bounds, f not being zero. What lies between a bound and the next whole number is left out.
Expression schema_number(const SchemaJson& s, const std::string& where) {
  const bool bounded = std::any_of(std::begin(kBounds), std::end(kBounds),
                                   [&](const char* key) { return s.contains(key); });
  if (!bounded) return json_number();
  std::vector<Expression> choices;
  const WholeRange whole = whole_numbers(s, true, where);
  if (whole.least <= whole.most) choices.push_back(json_integer(whole.least, whole.most));
  const WholeRange edges = whole_numbers(s, false, where);
  const Expression digits = Expression::repeat(Expression::one_of({{'0', '9'}}), 0, 7);
  const Expression fraction = Expression::sequence(
      {Expression::literal("."), digits, Expression::one_of({{'1', '9'}}), digits});
  const auto add = [&](const char* sign, std::int64_t least, std::int64_t most) {
    if (least > most) return;
    choices.push_back(
        Expression::sequence({Expression::literal(sign), json_integer(least, most), fraction}));
  };
  add("", std::max<std::int64_t>(edges.least, 0), edges.most - 1);
  add("-", std::max<std::int64_t>(-edges.most, 0), -edges.least - 1);
  if (choices.empty())
    throw ImpossibleSchema(schema_message(where, "no whole number is within its bounds"));
  return Expression::choice(std::move(choices));
}

}  // namespace windlass

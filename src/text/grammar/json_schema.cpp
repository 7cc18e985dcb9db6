#include "src/text/grammar/json_schema.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "src/text/grammar/json_text.h"
#include "src/text/grammar/schema_merge.h"
#include "src/text/utf8.h"

namespace windlass {
namespace {

constexpr int kMostNesting = 64;
constexpr int kMostSchemas = 20000;          // converted, copies by merging included
constexpr std::size_t kMostNameBytes = 256;  // of a property beside which others may stand
constexpr std::int64_t kMostCount = 100000;

const char* const kDate =
    "^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|"
    "02-(0[1-9]|1[0-9]|2[0-8]))$";  // the 29th of February is left out: not every year has it
const char* const kTime =
    "^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
    "$";
const char* const kUuid = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";

// Which type a keyword belongs to; "" for those of every type.
struct Keyword {
  const char* name;
  const char* type;
};
constexpr Keyword kKeywords[] = {
    {"properties", "object"},
    {"required", "object"},
    {"additionalProperties", "object"},
    {"items", "array"},
    {"prefixItems", "array"},
    {"minItems", "array"},
    {"maxItems", "array"},
    {"minLength", "string"},
    {"maxLength", "string"},
    {"pattern", "string"},
    {"format", "string"},
    {"minimum", "integer"},
    {"maximum", "integer"},
    {"exclusiveMinimum", "integer"},
    {"exclusiveMaximum", "integer"},
    {"type", ""},
    {"enum", ""},
    {"const", ""},
    {"anyOf", ""},
    {"oneOf", ""},
    {"allOf", ""},
    {"$ref", ""},
    {"$defs", ""},
    {"definitions", ""},
    {"$schema", ""},
    {"$id", ""},
    {"$comment", ""},
    {"title", ""},
    {"description", ""},
    {"default", ""},
    {"examples", ""},
    {"deprecated", ""},
    {"readOnly", ""},
    {"writeOnly", ""},
};
constexpr std::array<const char*, 7> kTypes = {"object",  "array",   "string", "number",
                                               "integer", "boolean", "null"};

const Keyword* find_keyword(const std::string& name) {
  const auto* found = std::find_if(std::begin(kKeywords), std::end(kKeywords),
                                   [&](const Keyword& keyword) { return name == keyword.name; });
  return found == std::end(kKeywords) ? nullptr : found;
}

class Converter {
 public:
  explicit Converter(const SchemaJson& document) : document_(document) {}

  GrammarRules convert() {
    space_ = add_rule("space", json_space());
    character_ = add_rule("character", json_any_character());
    rules_.root = reference("#", "#");
    return std::move(rules_);
  }

 private:
  std::int32_t add_rule(const std::string& name, Expression body) {
    rules_.rules.push_back({name, std::move(body)});
    return static_cast<std::int32_t>(rules_.rules.size() - 1);
  }
  Expression space() const { return Expression::call(space_); }
  static Expression text(const std::string& literal) { return Expression::literal(literal); }

  // The rule of what "#/..." points to; made once, so that a schema may hold itself.
  std::int32_t reference(const std::string& pointer, const std::string& where) {
    const auto known = references_.find(pointer);
    if (known != references_.end()) return known->second;
    const SchemaJson& target = resolve(pointer, where);
    // Until it is known, and if nothing satisfies it: what never matches.
    const std::int32_t rule = add_rule(pointer, Expression::choice({}));
    references_[pointer] = rule;
    Expression body = schema(target, pointer);
    rules_.rules[static_cast<std::size_t>(rule)].body = std::move(body);
    return rule;
  }

  const SchemaJson& resolve(const std::string& pointer, const std::string& where) const {
    try {
      if (pointer == "#") return document_;
      if (pointer.starts_with("#/"))
        return document_.at(SchemaJson::json_pointer(pointer.substr(1)));
    } catch (const nlohmann::json::exception&) {
      fail(ErrorCode::kUsage, "JSON schema: {}: $ref {} points to nothing", where, pointer);
    }
    fail(ErrorCode::kUsage, "JSON schema: {}: $ref {} leads out of the document", where, pointer);
  }

  Expression schema(const SchemaJson& s, const std::string& where) {
    if (++depth_ > kMostNesting)
      fail(ErrorCode::kUsage, "JSON schema: {}: nested more than {} deep", where, kMostNesting);
    if (++n_schemas_ > kMostSchemas)
      fail(ErrorCode::kUsage, "JSON schema: {}: more than {} schemas in all", where, kMostSchemas);
    Expression out = convert_schema(s, where);
    --depth_;
    return out;
  }

  Expression convert_schema(const SchemaJson& s, const std::string& where) {
    if (s == true) return any_value();
    if (s == false) throw ImpossibleSchema(message(where, "false accepts nothing"));
    if (!s.is_object())
      fail(ErrorCode::kUsage, "JSON schema: {}: {} is no schema", where, brief(s));
    check_keywords(s, where);
    if (s.contains("$ref")) return with_reference(s, where);
    if (s.contains("allOf")) return with_all_of(s, where);
    for (const char* key : {"anyOf", "oneOf"}) {
      if (s.contains(key)) return with_choice(s, key, where);
    }
    if (s.contains("const") || s.contains("enum")) return values(s, where);
    return typed(s, where);
  }

  static std::string message(const std::string& where, const std::string& what) {
    return "JSON schema: " + where + ": " + what;
  }
  static std::string brief(const SchemaJson& value) {
    const std::string dumped = value.dump(-1, ' ', true);
    return dumped.size() <= 60 ? dumped : dumped.substr(0, 57) + "...";
  }

  static void check_keywords(const SchemaJson& s, const std::string& where) {
    for (const auto& [key, value] : s.items()) {
      if (find_keyword(key) == nullptr)
        fail(ErrorCode::kUsage, "JSON schema: {}: keyword {} is not supported", where, key);
    }
  }

  // Whether anything but annotations stands there beside `key`.
  static bool stands_alone(const SchemaJson& s, const char* key) {
    static const std::vector<std::string> kSilent = {
        "$defs",   "definitions", "$schema",  "$id",        "$comment", "title",
        "default", "description", "examples", "deprecated", "readOnly", "writeOnly"};
    for (const auto& [name, value] : s.items()) {
      if (name != key && std::find(kSilent.begin(), kSilent.end(), name) == kSilent.end())
        return false;
    }
    return true;
  }

  static SchemaJson without(SchemaJson s, const char* key) {
    s.erase(key);
    return s;
  }

  Expression with_reference(const SchemaJson& s, const std::string& where) {
    if (!s["$ref"].is_string()) fail(ErrorCode::kUsage, "JSON schema: {}: $ref is no text", where);
    const auto pointer = s["$ref"].get<std::string>();
    if (stands_alone(s, "$ref")) return Expression::call(reference(pointer, where));
    return joined(without(s, "$ref"), resolve(pointer, where), where);
  }

  Expression joined(const SchemaJson& base, const SchemaJson& more, const std::string& where) {
    if (more == true) return schema(base, where);
    if (!more.is_object()) return schema(more, where);
    // What is named but not built on must still be known.
    check_keywords(more, where);
    return schema(merge_schemas(base, more, "JSON schema: " + where), where);
  }

  Expression with_all_of(const SchemaJson& s, const std::string& where) {
    const SchemaJson& parts = list(s, "allOf", where);
    SchemaJson base = without(s, "allOf");
    SchemaJson rest = SchemaJson::array();
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) rest.push_back(parts[i]);
    if (!rest.empty()) base["allOf"] = rest;
    SchemaJson last = parts.back();
    if (last.is_object() && last.contains("$ref")) {
      // One reference a schema: that of the part is resolved now.
      if (!last["$ref"].is_string() || !stands_alone(last, "$ref")) {
        fail(ErrorCode::kUsage, "JSON schema: {}: keywords beside $ref in allOf are not supported",
             where);
      }
      last = resolve(last["$ref"].get<std::string>(), where);
    }
    return joined(base, last, where);
  }

  static const SchemaJson& list(const SchemaJson& s, const char* key, const std::string& where) {
    if (!s[key].is_array() || s[key].empty())
      fail(ErrorCode::kUsage, "JSON schema: {}: {} is no list of at least one", where, key);
    return s[key];
  }

  // Alternatives that nothing satisfies are left out, unless all are.
  Expression with_choice(const SchemaJson& s, const char* key, const std::string& where) {
    const SchemaJson base = without(s, key);
    const bool alone = stands_alone(s, key);
    std::vector<Expression> choices;
    std::string reason;
    const int depth = depth_;
    std::size_t i = 0;
    for (const SchemaJson& part : list(s, key, where)) {
      const std::string place = where + "/" + key + "/" + std::to_string(i++);
      try {
        choices.push_back(alone ? schema(part, place) : joined(base, part, place));
      } catch (const ImpossibleSchema& error) {
        reason = error.what();
        depth_ = depth;
      }
    }
    if (choices.empty()) throw ImpossibleSchema(reason);
    return Expression::choice(std::move(choices));
  }

  static bool is_of_type(const SchemaJson& value, const SchemaJson& type) {
    if (type == "integer") {
      return value.is_number_integer() ||
             (value.is_number_float() && std::floor(value.get<double>()) == value.get<double>());
    }
    if (type == "number") return value.is_number();
    return type == value.type_name();
  }

  Expression values(const SchemaJson& s, const std::string& where) {
    SchemaJson wanted = s.contains("enum") ? list(s, "enum", where) : SchemaJson::array();
    if (s.contains("const")) {
      const bool among = !s.contains("enum") ||
                         std::find(wanted.begin(), wanted.end(), s["const"]) != wanted.end();
      wanted = among ? SchemaJson::array({s["const"]}) : SchemaJson::array();
    }
    for (const auto& [key, value] : s.items()) {
      if (*find_keyword(key)->type != '\0')
        fail(ErrorCode::kUsage, "JSON schema: {}: {} beside a list of values is not supported",
             where, key);
    }
    std::vector<Expression> choices;
    for (const SchemaJson& value : wanted) {
      const auto fits = [&](const SchemaJson& type) { return is_of_type(value, type); };
      const std::vector<std::string> types = types_of(s, where);
      if (!s.contains("type") || std::any_of(types.begin(), types.end(), fits))
        choices.push_back(text(value.dump()));
    }
    if (choices.empty())
      throw ImpossibleSchema(message(where, "none of its values fits the rest of it"));
    return Expression::choice(std::move(choices));
  }

  // As `type` says; else those that the keywords belong to.
  static std::vector<std::string> types_of(const SchemaJson& s, const std::string& where) {
    std::vector<std::string> types;
    if (s.contains("type")) {
      const SchemaJson& given = s["type"];
      for (const SchemaJson& type : given.is_array() ? given : SchemaJson::array({given})) {
        if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end())
          fail(ErrorCode::kUsage, "JSON schema: {}: unknown type {}", where, brief(type));
        types.push_back(type);
      }
      return types;
    }
    for (const auto& [key, value] : s.items()) {
      const std::string type = find_keyword(key)->type;
      if (!type.empty() && std::find(types.begin(), types.end(), type) == types.end())
        types.push_back(type);
    }
    return types;
  }

  Expression typed(const SchemaJson& s, const std::string& where) {
    const std::vector<std::string> types = types_of(s, where);
    for (const auto& [key, value] : s.items()) {
      const std::string type = find_keyword(key)->type;
      if (!type.empty() && std::find(types.begin(), types.end(), type) == types.end()) {
        fail(ErrorCode::kUsage, "JSON schema: {}: {} cannot act on type {}", where, key,
             brief(s["type"]));
      }
    }
    if (types.empty()) return any_value();
    std::vector<Expression> choices;
    for (const std::string& type : types) choices.push_back(of_type(type, s, where));
    return Expression::choice(std::move(choices));
  }

  Expression of_type(const std::string& type, const SchemaJson& s, const std::string& where) {
    if (type == "object") return object(s, where);
    if (type == "array") return array(s, where);
    if (type == "string") return string(s, where);
    if (type == "integer") return integer(s, where);
    if (type == "number") return json_number();
    if (type == "boolean") return Expression::choice({text("true"), text("false")});
    return text("null");
  }

  Expression any_value() {
    if (any_ < 0) {
      any_ = add_rule("value", {});
      const SchemaJson empty = SchemaJson::object();
      Expression body = Expression::choice({object({{"additionalProperties", true}}, "#"),
                                            array(empty, "#"), string(empty, "#"), json_number(),
                                            text("true"), text("false"), text("null")});
      rules_.rules[static_cast<std::size_t>(any_)].body = std::move(body);
    }
    return Expression::call(any_);
  }

  static std::int64_t count(const SchemaJson& s, const char* key, std::int64_t otherwise,
                            const std::string& where) {
    if (!s.contains(key)) return otherwise;
    const SchemaJson& value = s[key];
    if (value.is_number_integer() && value >= 0 && value <= kMostCount)
      return value.get<std::int64_t>();
    fail(ErrorCode::kUsage, "JSON schema: {}: {} {} is no count from 0 to {}", where, key,
         brief(value), kMostCount);
  }

  static void check_order(std::int64_t least, std::int64_t most, const char* names,
                          const std::string& where) {
    if (most >= 0 && most < least)
      throw ImpossibleSchema(
          message(where, fmt::format("{} {} and {} exclude each other", names, least, most)));
  }

  Expression string(const SchemaJson& s, const std::string& where) {
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
        fail(ErrorCode::kUsage, "JSON schema: {}: {} is no text", where, brief(value));
      content = s.contains("pattern")
                    ? json_pattern(value.get<std::string>(), "JSON schema: " + where)
                    : format(value.get<std::string>(), where);
    } else {
      const std::int64_t least = count(s, "minLength", 0, where);
      const std::int64_t most = count(s, "maxLength", -1, where);
      check_order(least, most, "minLength, maxLength", where);
      content = Expression::repeat(Expression::call(character_), least, most);
    }
    return Expression::sequence({text("\""), std::move(content), text("\"")});
  }

  static Expression format(const std::string& name, const std::string& where) {
    if (name == "date") return json_pattern(kDate, where);
    if (name == "time") return json_pattern(kTime, where);
    if (name == "uuid") return json_pattern(kUuid, where);
    if (name == "date-time") {
      return Expression::sequence(
          {json_pattern(kDate, where), text("T"), json_pattern(kTime, where)});
    }
    fail(ErrorCode::kUsage,
         "JSON schema: {}: format {} is not supported; there are date, time, date-time, uuid",
         where, name);
  }

  static Expression integer(const SchemaJson& s, const std::string& where) {
    std::int64_t least = -kMostJsonInteger, most = kMostJsonInteger;
    const auto bound = [&](const char* key, bool lower, std::int64_t shift) {
      if (!s.contains(key)) return;
      if (!s[key].is_number() || std::abs(s[key].get<double>()) > 9e15) {
        fail(ErrorCode::kUsage, "JSON schema: {}: {} {} is no number within 9e15", where, key,
             brief(s[key]));
      }
      const double value = s[key].get<double>();
      const double whole = lower ? std::ceil(value) : std::floor(value);
      const std::int64_t edge = static_cast<std::int64_t>(whole) + (whole == value ? shift : 0);
      if (lower) {
        least = std::max(least, edge);
      } else {
        most = std::min(most, edge);
      }
    };
    bound("minimum", true, 0);
    bound("exclusiveMinimum", true, 1);
    bound("maximum", false, 0);
    bound("exclusiveMaximum", false, -1);
    if (most < least)
      throw ImpossibleSchema(
          message(where, fmt::format("no integer is from {} to {}", least, most)));
    return json_integer(least, most);
  }

  Expression array(const SchemaJson& s, const std::string& where) {
    const SchemaJson prefix =
        s.contains("prefixItems") ? list(s, "prefixItems", where) : SchemaJson::array();
    const auto n_prefix = static_cast<std::int64_t>(prefix.size());
    const SchemaJson items = s.contains("items") ? s["items"] : SchemaJson(true);
    if (items.is_array())
      fail(ErrorCode::kUsage, "JSON schema: {}: items is a list; use prefixItems", where);
    const std::int64_t least = count(s, "minItems", 0, where);
    std::int64_t most = count(s, "maxItems", -1, where);
    if (items == false) most = most < 0 ? n_prefix : std::min(most, n_prefix);
    check_order(least, most, "minItems, maxItems", where);

    const auto comma = [&] { return Expression::sequence({text(","), space()}); };
    Expression
        tail;  // what may follow the prefix, each with a comma before it but for a first item
    if (most < 0 || most > n_prefix) {
      Expression item =
          Expression::call(add_rule(where + "/items", schema(items, where + "/items")));
      const std::int64_t rest_least = std::max<std::int64_t>(0, least - n_prefix);
      const std::int64_t rest_most = most < 0 ? -1 : most - n_prefix;
      if (n_prefix > 0) {
        tail = Expression::repeat(Expression::sequence({comma(), item}), rest_least, rest_most);
      } else {
        Expression more = Expression::repeat(Expression::sequence({comma(), item}),
                                             std::max<std::int64_t>(0, rest_least - 1),
                                             rest_most < 0 ? -1 : rest_most - 1);
        tail = Expression::repeat(Expression::sequence({std::move(item), std::move(more)}),
                                  rest_least > 0 ? 1 : 0, 1);
      }
    }
    for (std::int64_t i = most < 0 ? n_prefix : std::min(n_prefix, most); i-- > 0;) {
      const std::string place = where + "/prefixItems/" + std::to_string(i);
      std::vector<Expression> parts;
      if (i > 0) parts.push_back(comma());
      parts.push_back(schema(prefix[static_cast<std::size_t>(i)], place));
      parts.push_back(std::move(tail));
      const std::int32_t rule = add_rule(place, Expression::sequence(std::move(parts)));
      tail = Expression::repeat(Expression::call(rule), i < least ? 1 : 0, 1);
    }
    return Expression::sequence({text("["), space(), std::move(tail), space(), text("]")});
  }

  struct Member {
    Expression text;  // "name": value
    bool required;
  };

  Expression object(const SchemaJson& s, const std::string& where) {
    SchemaJson properties = s.contains("properties") ? s["properties"] : SchemaJson::object();
    if (!properties.is_object())
      fail(ErrorCode::kUsage, "JSON schema: {}: properties is no object", where);
    // Members that nothing is said of are left out where others are named.
    const bool open = s.contains("additionalProperties") ? s["additionalProperties"] != false
                                                         : !s.contains("properties");
    const SchemaJson additional =
        s.contains("additionalProperties") ? s["additionalProperties"] : SchemaJson(true);
    const std::vector<std::string> required = required_names(s, where);
    for (const std::string& name : required) {
      if (!properties.contains(name)) properties[name] = additional;
    }
    std::vector<Member> members;
    for (const auto& [name, value] : properties.items()) {
      const std::string place = where + "/properties/" + name;
      const bool needed = std::find(required.begin(), required.end(), name) != required.end();
      const int depth = depth_;
      try {
        members.push_back({named(text(SchemaJson(name).dump()), schema(value, place)), needed});
      } catch (const ImpossibleSchema&) {
        if (needed) throw;
        depth_ = depth;
      }
    }
    Expression others = open ? additional_members(properties, additional, where) : text("");
    return Expression::sequence({text("{"), space(),
                                 member_chain(std::move(members), std::move(others), open, where),
                                 space(), text("}")});
  }

  static std::vector<std::string> required_names(const SchemaJson& s, const std::string& where) {
    std::vector<std::string> names;
    if (!s.contains("required")) return names;
    const SchemaJson& given = s["required"];
    if (!given.is_array()) fail(ErrorCode::kUsage, "JSON schema: {}: required is no list", where);
    for (const SchemaJson& name : given) {
      if (!name.is_string())
        fail(ErrorCode::kUsage, "JSON schema: {}: required {} is no name", where, brief(name));
      names.push_back(name);
    }
    return names;
  }

  Expression named(Expression name, Expression value) const {
    return Expression::sequence({std::move(name), text(":"), space(), std::move(value)});
  }

  // One member of a name that `properties` does not hold.
  Expression additional_members(const SchemaJson& properties, const SchemaJson& additional,
                                const std::string& where) {
    std::vector<std::string> names;
    for (const auto& [name, value] : properties.items()) {
      const std::string dumped = SchemaJson(name).dump();
      if (dumped.size() > kMostNameBytes)
        fail(ErrorCode::kUsage, "JSON schema: {}: the name {} is longer than {} bytes", where,
             brief(name), kMostNameBytes);
      if (dumped == "\"" + name + "\"") names.push_back(name);
    }
    if (names.size() < properties.size()) {
      fail(ErrorCode::kUsage,
           "JSON schema: {}: additionalProperties beside a name that JSON escapes is not supported",
           where);
    }
    Expression key = names.empty() ? Expression::repeat(Expression::call(character_), 0, -1)
                                   : json_string_except(names);
    return named(Expression::sequence({text("\""), std::move(key), text("\"")}),
                 schema(additional, where + "/additionalProperties"));
  }

  // Members in order; rule (i, first) is what may come from member i on, with a comma before it
  // unless it is the first. Two rules a member, so that any choice of optional ones stays linear.
  Expression member_chain(std::vector<Member> members, Expression others, bool open,
                          const std::string& where) {
    const auto comma = [&] { return Expression::sequence({text(","), space()}); };
    Expression first = text(""), later = text("");
    if (open) {
      Expression other = Expression::call(add_rule(where + "/additional", std::move(others)));
      later = Expression::repeat(Expression::sequence({comma(), other}), 0, -1);
      first = Expression::repeat(Expression::sequence({std::move(other), later}), 0, 1);
    }
    for (std::size_t i = members.size(); i-- > 0;) {
      const Expression member = Expression::call(add_rule(where, std::move(members[i].text)));
      const std::int32_t after = add_rule(where, std::move(later));
      Expression here = Expression::sequence({member, Expression::call(after)});
      Expression comma_here = Expression::sequence({comma(), member, Expression::call(after)});
      if (!members[i].required) {
        here = Expression::choice({std::move(here), std::move(first)});
        comma_here = Expression::choice({std::move(comma_here), Expression::call(after)});
      }
      first = Expression::call(add_rule(where, std::move(here)));
      later = std::move(comma_here);
    }
    return first;
  }

  const SchemaJson& document_;
  GrammarRules rules_;
  std::map<std::string, std::int32_t> references_;
  std::int32_t space_ = -1, character_ = -1, any_ = -1;
  int depth_ = 0, n_schemas_ = 0;
};

}  // namespace

GrammarRules json_schema_grammar(std::string_view schema) {
  if (static_cast<std::int64_t>(schema.size()) > kMostSchemaBytes) {
    fail(ErrorCode::kUsage, "JSON schema: {} bytes are too many; at most {}", schema.size(),
         kMostSchemaBytes);
  }
  SchemaJson document;
  try {
    document = SchemaJson::parse(schema);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::kUsage, "JSON schema: {}", error.what());
  }
  return Converter(document).convert();
}

}  // namespace windlass

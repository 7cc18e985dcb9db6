#include "src/text/grammar/json_schema.h"

#include <algorithm>
#include <map>

#include "src/text/grammar/json_text.h"
#include "src/text/grammar/schema_keywords.h"
#include "src/text/grammar/schema_merge.h"
#include "src/text/grammar/schema_scalars.h"

namespace windlass {
namespace {

constexpr int kMostNesting = 64;
constexpr int kMostSchemas = 4000;           // converted, copies by merging included
constexpr int kMostJsonDepth = 256;          // of the text: a schema in a schema is two levels
constexpr std::size_t kMostNameBytes = 256;  // of a property beside which others may stand
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
  Expression character() const { return Expression::call(character_); }
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
    if (s == false) throw ImpossibleSchema(schema_message(where, "false accepts nothing"));
    if (!s.is_object())
      fail(ErrorCode::kUsage, "JSON schema: {}: {} is no schema", where, brief_json(s));
    check_schema_keywords(s, where);
    if (s.contains("$ref")) return with_reference(s, where);
    // Before allOf: a part that is a choice itself then finds none to be joined with.
    for (const char* key : {"anyOf", "oneOf"}) {
      if (s.contains(key)) return with_choice(s, key, where);
    }
    if (s.contains("allOf")) return with_all_of(s, where);
    if (s.contains("const") || s.contains("enum")) return values(s, where);
    return typed(s, where);
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
    check_schema_keywords(more, where);
    return schema(merge_schemas(base, more, "JSON schema: " + where), where);
  }

  Expression with_all_of(const SchemaJson& s, const std::string& where) {
    const SchemaJson& parts = schema_list(s, "allOf", where);
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

  // Alternatives that nothing satisfies are left out, unless all are.
  Expression with_choice(const SchemaJson& s, const char* key, const std::string& where) {
    const SchemaJson base = without(s, key);
    const bool alone = stands_alone(s, key);
    std::vector<Expression> choices;
    std::string reason;
    const int depth = depth_;
    std::size_t i = 0;
    for (const SchemaJson& part : schema_list(s, key, where)) {
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

  Expression values(const SchemaJson& s, const std::string& where) {
    SchemaJson wanted = s.contains("enum") ? schema_list(s, "enum", where) : SchemaJson::array();
    if (s.contains("const")) {
      const bool among = !s.contains("enum") ||
                         std::find(wanted.begin(), wanted.end(), s["const"]) != wanted.end();
      wanted = among ? SchemaJson::array({s["const"]}) : SchemaJson::array();
    }
    for (const auto& [key, value] : s.items()) {
      if (!keyword_type(key).empty())
        fail(ErrorCode::kUsage, "JSON schema: {}: {} beside a list of values is not supported",
             where, key);
    }
    std::vector<Expression> choices;
    for (const SchemaJson& value : wanted) {
      const auto fits = [&](const SchemaJson& type) { return json_is_of_type(value, type); };
      const std::vector<std::string> types = schema_types(s, where);
      if (!s.contains("type") || std::any_of(types.begin(), types.end(), fits))
        choices.push_back(text(value.dump()));
    }
    if (choices.empty())
      throw ImpossibleSchema(schema_message(where, "none of its values fits the rest of it"));
    return Expression::choice(std::move(choices));
  }

  Expression typed(const SchemaJson& s, const std::string& where) {
    const std::vector<std::string> types = schema_types(s, where);
    const auto has = [&](const std::string& type) {
      return std::find(types.begin(), types.end(), type) != types.end();
    };
    for (const auto& [key, value] : s.items()) {
      const std::string type = keyword_type(key);
      if (key == "format" && !has("string"))
        continue;  // "int64", "double": of numbers it is a note
      if (!type.empty() && !has(type) && !(type == "number" && has("integer"))) {
        fail(ErrorCode::kUsage, "JSON schema: {}: {} cannot act on type {}", where, key,
             brief_json(s["type"]));
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
    if (type == "string") return schema_string(s, character(), where);
    if (type == "integer") return schema_integer(s, where);
    if (type == "number") return schema_number(s, where);
    if (type == "boolean") return Expression::choice({text("true"), text("false")});
    return text("null");
  }

  Expression any_value() {
    if (any_ < 0) {
      any_ = add_rule("value", {});
      const SchemaJson empty = SchemaJson::object();
      Expression body =
          Expression::choice({object({{"additionalProperties", true}}, "#"), array(empty, "#"),
                              schema_string(empty, character(), "#"), json_number(), text("true"),
                              text("false"), text("null")});
      rules_.rules[static_cast<std::size_t>(any_)].body = std::move(body);
    }
    return Expression::call(any_);
  }

  Expression array(const SchemaJson& s, const std::string& where) {
    const SchemaJson prefix = s.contains("prefixItems") && !s["prefixItems"].empty()
                                  ? schema_list(s, "prefixItems", where)
                                  : SchemaJson::array();
    const auto n_prefix = static_cast<std::int64_t>(prefix.size());
    const SchemaJson items = s.contains("items") ? s["items"] : SchemaJson(true);
    if (items.is_array())
      fail(ErrorCode::kUsage, "JSON schema: {}: items is a list; use prefixItems", where);
    const std::int64_t least = schema_count(s, "minItems", 0, where);
    std::int64_t most = schema_count(s, "maxItems", -1, where);
    if (items == false) most = most < 0 ? n_prefix : std::min(most, n_prefix);
    check_count_order(least, most, "minItems, maxItems", where);

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
             brief_json(name), kMostNameBytes);
      if (dumped == "\"" + name + "\"") names.push_back(name);
    }
    if (names.size() < properties.size()) {
      fail(ErrorCode::kUsage,
           "JSON schema: {}: additionalProperties beside a name that JSON escapes is not supported",
           where);
    }
    Expression key =
        names.empty() ? Expression::repeat(character(), 0, -1) : json_string_except(names);
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
  const auto bound_depth = [](int depth, SchemaJson::parse_event_t, const SchemaJson&) {
    if (depth <= kMostJsonDepth) return true;
    fail(ErrorCode::kUsage, "JSON schema: its JSON is nested more than {} deep", kMostJsonDepth);
  };
  try {
    document = SchemaJson::parse(schema, bound_depth);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::kUsage, "JSON schema: {}", error.what());
  }
  return Converter(document).convert();
}

}  // namespace windlass

#include "src/text/grammar/schema_merge.h"

#include <algorithm>

#include "src/text/grammar/schema_keywords.h"

namespace windlass {
namespace {

SchemaJson as_list(const SchemaJson& value) {
  return value.is_array() ? value : SchemaJson::array({value});
}

bool holds(const SchemaJson& list, const SchemaJson& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

SchemaJson merge_types(const SchemaJson& a, const SchemaJson& b, const std::string& where) {
  SchemaJson both = SchemaJson::array();
  const SchemaJson list_a = as_list(a), list_b = as_list(b);
  for (const SchemaJson& type : list_a) {
    const bool either_number = type == "integer" && holds(list_b, "number");
    if (holds(list_b, type) || either_number) both.push_back(type);
    if (type == "number" && holds(list_b, "integer") && !holds(list_b, "number"))
      both.push_back("integer");
  }
  if (both.empty())
    throw ImpossibleSchema(
        fmt::format("{}: type {} and type {} exclude each other", where, a.dump(), b.dump()));
  return both;
}

SchemaJson merge_values(const SchemaJson& a, const SchemaJson& b, const std::string& where) {
  SchemaJson both = SchemaJson::array();
  for (const SchemaJson& value : a) {
    if (holds(b, value)) both.push_back(value);
  }
  if (both.empty())
    throw ImpossibleSchema(fmt::format("{}: two lists of values have none in common", where));
  return both;
}

// A schema may be true or false instead of an object.
SchemaJson merge_any(const SchemaJson& a, const SchemaJson& b, const std::string& where) {
  if (a == true || b == false) return b;
  if (b == true || a == false) return a;
  if (!a.is_object() || !b.is_object()) fail(ErrorCode::kUsage, "{}: no schema", where);
  return merge_schemas(a, b, where);
}

SchemaJson merge_keyword(const std::string& key, const SchemaJson& a, const SchemaJson& b,
                         const std::string& where) {
  if (a == b) return a;
  if (key == "type") return merge_types(a, b, where);
  const bool numbers = a.is_number() && b.is_number();
  if (numbers && (key.starts_with("min") || key == "exclusiveMinimum")) return a < b ? b : a;
  if (numbers && (key.starts_with("max") || key == "exclusiveMaximum")) return a < b ? a : b;
  if (a.is_array() && b.is_array() && key == "enum") return merge_values(a, b, where);
  if (a.is_array() && b.is_array() && (key == "required" || key == "allOf")) {
    SchemaJson all = a;
    for (const SchemaJson& item : b) {
      if (!holds(all, item)) all.push_back(item);
    }
    return all;
  }
  if (key == "items" || key == "additionalProperties") return merge_any(a, b, where + "/" + key);
  if (key == "const") {
    throw ImpossibleSchema(
        fmt::format("{}: const {} and const {} exclude each other", where, a.dump(), b.dump()));
  }
  fail(ErrorCode::kUsage, "{}: {} stands twice and cannot be joined", where, key);
}

// A property that only one side names is judged by the other's additionalProperties.
void merge_properties(SchemaJson& out, const SchemaJson& a, const SchemaJson& b,
                      const std::string& where) {
  const auto properties = [](const SchemaJson& schema) {
    return schema.contains("properties") ? schema["properties"] : SchemaJson::object();
  };
  const auto additional = [](const SchemaJson& schema) {
    return schema.contains("additionalProperties") ? schema["additionalProperties"]
                                                   : SchemaJson(true);
  };
  const SchemaJson of_a = properties(a), of_b = properties(b);
  if (!of_a.is_object() || !of_b.is_object())
    fail(ErrorCode::kUsage, "{}: properties is no object", where);
  SchemaJson all = SchemaJson::object();
  for (const auto& [name, schema] : of_a.items()) {
    all[name] = merge_any(schema, of_b.contains(name) ? of_b[name] : additional(b),
                          where + "/properties/" + name);
  }
  for (const auto& [name, schema] : of_b.items()) {
    if (!of_a.contains(name))
      all[name] = merge_any(additional(a), schema, where + "/properties/" + name);
  }
  if (!all.empty()) out["properties"] = all;
}

}  // namespace

SchemaJson merge_schemas(const SchemaJson& a, const SchemaJson& b, const std::string& where) {
  SchemaJson out = a;
  merge_properties(out, a, b, where);
  for (const auto& [key, value] : b.items()) {
    if (key == "properties") continue;
    if (!out.contains(key)) {
      out[key] = value;
    } else if (is_annotation(key)) {
      continue;  // that of `a` stays
    } else if ((key == "anyOf" || key == "oneOf") && out[key] != value) {
      // Both choices hold: the second becomes a part of its own.
      out["allOf"].push_back(SchemaJson::object({{key, value}}));
    } else {
      out[key] = merge_keyword(key, out[key], value, where);
    }
  }
  return out;
}

}  // namespace windlass

#include "src/text/grammar/schema_keywords.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace windlass {
namespace {

constexpr std::int64_t kMostCount = 100000;

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
    {"minimum", "number"},
    {"maximum", "number"},
    {"exclusiveMinimum", "number"},
    {"exclusiveMaximum", "number"},
    {"type", ""},
    {"enum", ""},
    {"const", ""},
    {"anyOf", ""},
    {"oneOf", ""},
    {"allOf", ""},
    {"$ref", ""},
};
constexpr std::array<const char*, 7> kTypes = {"object",  "array",   "string", "number",
                                               "integer", "boolean", "null"};

const Keyword* find_keyword(const std::string& name) {
  const auto* found = std::find_if(std::begin(kKeywords), std::end(kKeywords),
                                   [&](const Keyword& keyword) { return name == keyword.name; });
  return found == std::end(kKeywords) ? nullptr : found;
}

}  // namespace

std::string keyword_type(const std::string& name) {
  const Keyword* keyword = find_keyword(name);
  return keyword == nullptr ? "" : keyword->type;
}

std::string schema_message(const std::string& where, const std::string& what) {
  return "JSON schema: " + where + ": " + what;
}

std::string brief_json(const SchemaJson& value) {
  const std::string dumped = value.dump(-1, ' ', true);
  return dumped.size() <= 60 ? dumped : dumped.substr(0, 57) + "...";
}

void check_schema_keywords(const SchemaJson& s, const std::string& where) {
  for (const auto& [key, value] : s.items()) {
    if (find_keyword(key) == nullptr && !is_annotation(key))
      fail(ErrorCode::kUsage, "JSON schema: {}: keyword {} is not supported", where, key);
  }
}

bool is_annotation(const std::string& name) {
  static const std::vector<std::string> kSilent = {
      "$defs",    "definitions", "$schema",    "$id",      "$comment",  "title",        "default",
      "examples", "description", "deprecated", "readOnly", "writeOnly", "discriminator"};
  return name.starts_with("x-") || std::find(kSilent.begin(), kSilent.end(), name) != kSilent.end();
}

bool stands_alone(const SchemaJson& s, const char* key) {
  for (const auto& [name, value] : s.items()) {
    if (name != key && !is_annotation(name)) return false;
  }
  return true;
}

const SchemaJson& schema_list(const SchemaJson& s, const char* key, const std::string& where) {
  if (!s[key].is_array() || s[key].empty())
    fail(ErrorCode::kUsage, "JSON schema: {}: {} is no list of at least one", where, key);
  return s[key];
}

bool json_is_of_type(const SchemaJson& value, const SchemaJson& type) {
  if (type == "integer") {
    return value.is_number_integer() ||
           (value.is_number_float() && std::floor(value.get<double>()) == value.get<double>());
  }
  if (type == "number") return value.is_number();
  return type == value.type_name();
}

std::vector<std::string> schema_types(const SchemaJson& s, const std::string& where) {
  std::vector<std::string> types;
  if (s.contains("type")) {
    const SchemaJson& given = s["type"];
    for (const SchemaJson& type : given.is_array() ? given : SchemaJson::array({given})) {
      if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end())
        fail(ErrorCode::kUsage, "JSON schema: {}: unknown type {}", where, brief_json(type));
      types.push_back(type);
    }
    return types;
  }
  for (const auto& [key, value] : s.items()) {
    const std::string type = keyword_type(key);
    if (!type.empty() && std::find(types.begin(), types.end(), type) == types.end())
      types.push_back(type);
  }
  return types;
}

std::int64_t schema_count(const SchemaJson& s, const char* key, std::int64_t otherwise,
                          const std::string& where) {
  if (!s.contains(key)) return otherwise;
  const SchemaJson& value = s[key];
  if (value.is_number_integer() && value >= 0 && value <= kMostCount)
    return value.get<std::int64_t>();
  fail(ErrorCode::kUsage, "JSON schema: {}: {} {} is no count from 0 to {}", where, key,
       brief_json(value), kMostCount);
}

void check_count_order(std::int64_t least, std::int64_t most, const char* names,
                       const std::string& where) {
  if (most >= 0 && most < least)
    throw ImpossibleSchema(
        schema_message(where, fmt::format("{} {} and {} exclude each other", names, least, most)));
}

std::vector<std::string> required_names(const SchemaJson& s, const std::string& where) {
  std::vector<std::string> names;
  if (!s.contains("required")) return names;
  const SchemaJson& given = s["required"];
  if (!given.is_array()) fail(ErrorCode::kUsage, "JSON schema: {}: required is no list", where);
  for (const SchemaJson& name : given) {
    if (!name.is_string())
      fail(ErrorCode::kUsage, "JSON schema: {}: required {} is no name", where, brief_json(name));
    names.push_back(name);
  }
  return names;
}

}  // namespace windlass

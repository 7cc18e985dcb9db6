// Reading a JSON schema: which keywords there are, what type of value each is about, and their
// values checked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/text/grammar/schema_merge.h"

namespace windlass {

// `where` names the place of a schema within its document ("#/properties/a") and stands in the
// message of every Error(kUsage).

// "JSON schema: <where>: <what>".
std::string schema_message(const std::string& where, const std::string& what);
// The value as text of at most 60 characters, for messages.
std::string brief_json(const SchemaJson& value);

// Whether a keyword says nothing about which values fit ("title", "x-order").
bool is_annotation(const std::string& name);
// Error(kUsage) for a keyword that is neither supported nor an annotation.
void check_schema_keywords(const SchemaJson& s, const std::string& where);
// The type of value that a keyword is about; "" for those about all, and for annotations.
std::string keyword_type(const std::string& name);
// The types a value may have: as `type` says; else those that the keywords belong to; none: all.
// Error(kUsage) for an unknown one.
std::vector<std::string> schema_types(const SchemaJson& s, const std::string& where);
bool json_is_of_type(const SchemaJson& value, const SchemaJson& type);
// Whether nothing but annotations stands there beside `key`.
bool stands_alone(const SchemaJson& s, const char* key);

// s[key], a list of at least one; else Error(kUsage).
const SchemaJson& schema_list(const SchemaJson& s, const char* key, const std::string& where);
// s[key], from 0 to 100000, or `otherwise` where it is not given; else Error(kUsage).
std::int64_t schema_count(const SchemaJson& s, const char* key, std::int64_t otherwise,
                          const std::string& where);
// ImpossibleSchema where most < least; a negative `most` is none.
void check_count_order(std::int64_t least, std::int64_t most, const char* names,
                       const std::string& where);
// What `required` lists; Error(kUsage) unless they are names.
std::vector<std::string> required_names(const SchemaJson& s, const std::string& where);

}  // namespace windlass

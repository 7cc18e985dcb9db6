// JSON schema to grammar: the texts that the grammar allows are JSON that the schema accepts. The
// members of an object come in the schema's order, the required ones all, and numbers without a
// needless form; so the grammar allows less than the schema where JSON has several spellings, never
// more.
//
// Acts on: type (one or several), properties, required, additionalProperties, enum, const, items,
// prefixItems, minItems, maxItems, minLength, maxLength, pattern (anchored regular expressions
// without look-around), format (date, time, date-time, uuid), minimum, maximum, exclusiveMinimum,
// exclusiveMaximum (of integers), anyOf, oneOf (as anyOf), allOf (merged), $ref into the same
// document (also recursive). Annotations (title, description, default, ...) are passed over. Every
// other keyword is refused by name: it would not act.
#pragma once

#include <cstdint>
#include <string_view>

#include "src/text/grammar/expression.h"

namespace windlass {

inline constexpr std::int64_t kMostSchemaBytes = 128 * 1024;

// Error(kUsage) naming the place in the schema ("#/properties/age") and the reason.
GrammarRules json_schema_grammar(std::string_view schema);

}  // namespace windlass

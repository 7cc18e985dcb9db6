// Strings and numbers of a JSON schema as expressions.
#pragma once

#include <string>

#include "src/text/grammar/expression.h"
#include "src/text/grammar/schema_merge.h"

namespace windlass {

// A string in its quotes as minLength, maxLength, pattern or format want it; `character`: any of a
// JSON string. Error(kUsage) for what is not supported, ImpossibleSchema; messages name `where`.
Expression schema_string(const SchemaJson& s, const Expression& character,
                         const std::string& where);
// An integer within minimum, maximum, exclusiveMinimum and exclusiveMaximum. Errors alike.
Expression schema_integer(const SchemaJson& s, const std::string& where);
// The same of any number; bounded ones are written without an exponent.
Expression schema_number(const SchemaJson& s, const std::string& where);

}  // namespace windlass

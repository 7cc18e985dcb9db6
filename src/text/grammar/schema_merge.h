// Joining two JSON schemas into one that accepts what both do, for allOf and for keywords that
// stand beside anyOf or $ref.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "src/base/error.h"

namespace windlass {

using SchemaJson = nlohmann::ordered_json;  // properties keep their order

// No value satisfies a part of the schema; an alternative elsewhere may still be possible.
class ImpossibleSchema : public Error {
 public:
  explicit ImpossibleSchema(const std::string& message) : Error(ErrorCode::kUsage, message) {}
};

// ImpossibleSchema when types or values exclude each other; Error(kUsage) for keywords whose
// conjunction has no keyword. `where` begins the message. REQUIRES: both are objects.
SchemaJson merge_schemas(const SchemaJson& a, const SchemaJson& b, const std::string& where);

}  // namespace windlass

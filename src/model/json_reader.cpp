#include "src/model/json_reader.h"

#include <cmath>

#include "src/base/error.h"
#include "src/format/printable.h"

namespace windlass {
namespace {

using Json = nlohmann::json;

// Which of `keys` it was that find() gave.
const char* present_key(const Json& object, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const auto found = object.find(key);
    if (found != object.end() && !found->is_null()) return key;
  }
  return *keys.begin();
}

bool fits(const Json& value, std::int64_t min, std::int64_t max) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) {
    return false;
  }
  const auto number = value.get<std::int64_t>();
  return number >= min && number <= max;
}

}  // namespace

std::string shown_json(const Json& value) {
  return printable(value.dump(-1, ' ', true, Json::error_handler_t::replace));
}

JsonReader::JsonReader(const Json& object, const std::string& path)
    : object_(&object), path_(&path) {
  if (!object.is_object()) fail(ErrorCode::kBadFile, "{}: is not a JSON object", path);
}

const Json* JsonReader::find(std::initializer_list<const char*> keys) const {
  const auto found = object_->find(present_key(*object_, keys));
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

void JsonReader::refuse(const char* key, const Json& value, const std::string& wanted) const {
  fail(ErrorCode::kBadFile, "{}: '{}' is {}, not {}", *path_, key, shown_json(value), wanted);
}

std::optional<std::int64_t> JsonReader::integer(std::initializer_list<const char*> keys,
                                                std::int64_t min, std::int64_t max) const {
  const Json* value = find(keys);
  if (value == nullptr) return std::nullopt;
  if (!fits(*value, min, max)) {
    refuse(present_key(*object_, keys), *value, fmt::format("an integer from {} to {}", min, max));
  }
  return value->get<std::int64_t>();
}

std::int64_t JsonReader::require_integer(std::initializer_list<const char*> keys, std::int64_t min,
                                         std::int64_t max) const {
  const std::optional<std::int64_t> value = integer(keys, min, max);
  if (!value) fail(ErrorCode::kBadFile, "{}: '{}' is missing", *path_, *keys.begin());
  return *value;
}

std::optional<double> JsonReader::number(std::initializer_list<const char*> keys) const {
  const Json* value = find(keys);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>())) {
    refuse(present_key(*object_, keys), *value, "a number");
  }
  return value->get<double>();
}

std::optional<bool> JsonReader::flag(const char* key) const {
  const Json* value = find({key});
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) refuse(key, *value, "true or false");
  return value->get<bool>();
}

std::optional<std::string> JsonReader::text(std::initializer_list<const char*> keys) const {
  const Json* value = find(keys);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) refuse(present_key(*object_, keys), *value, "a string");
  return value->get<std::string>();
}

std::optional<std::vector<float>> JsonReader::numbers(const char* key) const {
  const Json* value = find({key});
  if (value == nullptr) return std::nullopt;
  std::vector<float> numbers;
  if (!value->is_array()) refuse(key, *value, "a list of numbers");
  for (const Json& entry : *value) {
    if (!entry.is_number()) refuse(key, *value, "a list of numbers");
    numbers.push_back(entry.get<float>());
    if (!std::isfinite(numbers.back())) refuse(key, *value, "a list of numbers");
  }
  return numbers;
}

std::optional<std::vector<std::string>> JsonReader::texts(const char* key) const {
  const Json* value = find({key});
  if (value == nullptr) return std::nullopt;
  std::vector<std::string> texts;
  if (!value->is_array()) refuse(key, *value, "a list of strings");
  for (const Json& entry : *value) {
    if (!entry.is_string()) refuse(key, *value, "a list of strings");
    texts.push_back(entry.get<std::string>());
  }
  return texts;
}

bool JsonReader::is_null(const char* key) const {
  const auto found = object_->find(key);
  return found != object_->end() && found->is_null();
}

std::optional<JsonReader> JsonReader::object(const char* key) const {
  const Json* value = find({key});
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) refuse(key, *value, "an object");
  return JsonReader(*value, *path_);
}

}  // namespace windlass

#include "src/format/tensor_table.h"

#include <limits>

#include "src/base/error.h"
#include "src/format/printable.h"

namespace windlass {
namespace {

const char* kind_of(const MetadataValue& value) {
  static constexpr const char* kNames[] = {"a bool", "an integer", "an integer", "a float",
                                           "a string"};
  return kNames[value.index()];
}

[[noreturn]] void fail_type(const TensorTable& table, const std::string& key, const char* found,
                            const char* wanted) {
  fail(ErrorCode::kBadFile, "{}: metadata key '{}' is {} where {} is expected", table.path(),
       printable(key), found, wanted);
}

// Null when the key is absent; an array under the key is a type error.
const MetadataValue* find_scalar(const TensorTable& table, const std::string& key,
                                 const char* wanted) {
  const auto found = table.metadata.find(key);
  if (found != table.metadata.end()) return &found->second;
  if (table.arrays.contains(key)) fail_type(table, key, "an array", wanted);
  return nullptr;
}

template <typename T>
const T* find_typed(const TensorTable& table, const std::string& key, const char* wanted) {
  const MetadataValue* value = find_scalar(table, key, wanted);
  if (value == nullptr) return nullptr;
  const T* typed = std::get_if<T>(value);
  if (typed == nullptr) fail_type(table, key, kind_of(*value), wanted);
  return typed;
}

}  // namespace

std::int64_t TensorInfo::n_rows() const {
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  return rows;
}

std::int64_t TensorInfo::row_bytes() const { return windlass::row_bytes(type, n_cols()); }

void TensorTable::build_index() {
  by_name_.clear();
  by_name_.reserve(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorId id{static_cast<std::int32_t>(i)};
    const auto [existing, inserted] = by_name_.emplace(tensors[i].name, id);
    if (inserted) continue;
    const auto file = static_cast<std::size_t>(index_of(tensors[i].extent.file));
    fail(ErrorCode::kBadFile, "{}: byte {}: tensor '{}' appears a second time (first at byte {})",
         file < files.size() ? files[file].path : path(), tensors[i].extent.offset_bytes,
         printable(tensors[i].name), at(existing->second).extent.offset_bytes);
  }
}

std::string TensorTable::path() const {
  if (!folder.empty()) return folder;
  return files.empty() ? std::string("model") : files.front().path;
}

std::string TensorTable::shown_name(std::string_view name) const {
  const TensorId id = find(name);
  if (id != kNoTensor && !at(id).stored_name.empty()) return printable(at(id).stored_name);
  return printable(stored_name_of ? stored_name_of(name) : std::string(name));
}

TensorId TensorTable::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? kNoTensor : found->second;
}

std::int64_t TensorTable::weight_bytes() const {
  std::int64_t sum = 0;
  for (const TensorInfo& tensor : tensors) sum += tensor.extent.size_bytes;
  return sum;
}

const std::string* TensorTable::find_string(const std::string& key) const {
  return find_typed<std::string>(*this, key, "a string");
}

std::optional<std::int64_t> TensorTable::find_int(const std::string& key, std::int64_t min,
                                                  std::int64_t max) const {
  const MetadataValue* value = find_scalar(*this, key, "an integer");
  if (value == nullptr) return std::nullopt;
  std::int64_t number = 0;
  if (const auto* is_signed = std::get_if<std::int64_t>(value)) {
    number = *is_signed;
  } else if (const auto* is_unsigned = std::get_if<std::uint64_t>(value)) {
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (*is_unsigned > kMax) {
      fail(ErrorCode::kBadFile, "{}: metadata key '{}' is {}, outside {} to {}", path(),
           printable(key), *is_unsigned, min, max);
    }
    number = static_cast<std::int64_t>(*is_unsigned);
  } else {
    fail_type(*this, key, kind_of(*value), "an integer");
  }
  if (number < min || number > max) {
    fail(ErrorCode::kBadFile, "{}: metadata key '{}' is {}, outside {} to {}", path(),
         printable(key), number, min, max);
  }
  return number;
}

std::optional<double> TensorTable::find_float(const std::string& key) const {
  const double* value = find_typed<double>(*this, key, "a float");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<bool> TensorTable::find_bool(const std::string& key) const {
  const bool* value = find_typed<bool>(*this, key, "a bool");
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::int64_t TensorTable::require_int(const std::string& key, std::int64_t min,
                                      std::int64_t max) const {
  const std::optional<std::int64_t> value = find_int(key, min, max);
  if (!value) {
    fail(ErrorCode::kBadFile, "{}: metadata key '{}' is missing", path(),
         printable(key));
  }
  return *value;
}

}  // namespace windlass

// Metadata arrays, read when they are wanted: a vocabulary is megabytes that most commands never
// need.
#include <cstring>
#include <limits>
#include <utility>

#include "src/base/check.h"
#include "src/format/gguf.h"
#include "src/format/gguf_value.h"
#include "src/format/header_cursor.h"
#include "src/format/posix_file.h"
#include "src/format/printable.h"

namespace windlass {
namespace {

using gguf::ValueType;

std::string first_path(const TensorTable& table) {
  return table.files.empty() ? std::string("model") : table.files.front().path;
}

const ArrayInfo& find_array(const TensorTable& table, const std::string& key) {
  const auto found = table.arrays.find(key);
  if (found != table.arrays.end()) return found->second;
  fail(ErrorCode::kBadFile, "{}: metadata array '{}' is missing", first_path(table),
       printable(key));
}

// Opens the array's file again and calls visit(cursor) over exactly the array's bytes.
template <typename Visit>
void read_array(const TensorTable& table, const ArrayInfo& array, const Visit& visit) {
  const auto index = static_cast<std::size_t>(index_of(array.extent.file));
  WINDLASS_CHECK(index < table.files.size(), index, table.files.size());
  const PosixFile file(table.files[index].path);
  const ReadAt read_at = [&file](std::int64_t offset, std::span<std::byte> destination) {
    file.read_at(offset, destination);
  };
  HeaderCursor cursor(read_at, file.path(), array.extent.offset_bytes, array.extent.end_bytes());
  visit(cursor);
}

[[noreturn]] void fail_element_type(const TensorTable& table, const std::string& key,
                                    const ArrayInfo& array, const char* wanted) {
  fail(ErrorCode::kBadFile, "{}: byte {}: metadata array '{}' has elements of type {}, not {}",
       first_path(table), array.extent.offset_bytes, printable(key), array.element_type, wanted);
}

// Appends n elements stored as T. The count was checked against the file when the header was
// parsed.
template <typename T, typename Kept>
void append_numbers(HeaderCursor& cursor, std::int64_t n_elements, std::vector<Kept>& values) {
  values.reserve(static_cast<std::size_t>(n_elements));
  for (std::int64_t i = 0; i < n_elements; ++i) {
    const std::int64_t at = cursor.offset();
    const T value = cursor.read<T>("an array's element");
    if constexpr (std::is_integral_v<T>) {
      if (!std::in_range<Kept>(value)) {
        cursor.fail_at(at, "an array's element {} does not fit into 32 bits", value);
      }
    }
    values.push_back(static_cast<Kept>(value));
  }
}

}  // namespace

void for_each_string(const TensorTable& table, const std::string& key,
                     const std::function<void(std::string_view)>& visit) {
  const ArrayInfo& array = find_array(table, key);
  if (array.element_type != static_cast<std::int32_t>(ValueType::kString)) {
    fail_element_type(table, key, array, "strings");
  }
  read_array(table, array, [&](HeaderCursor& cursor) {
    std::string text;
    for (std::int64_t i = 0; i < array.n_elements; ++i) {
      cursor.read_string_into(text, std::numeric_limits<std::int64_t>::max(), "an array's string");
      visit(text);
    }
  });
}

std::vector<std::string> read_string_array(const TensorTable& table, const std::string& key) {
  std::vector<std::string> values;
  values.reserve(static_cast<std::size_t>(find_array(table, key).n_elements));
  for_each_string(table, key, [&](std::string_view text) { values.emplace_back(text); });
  return values;
}

std::vector<float> read_float_array(const TensorTable& table, const std::string& key) {
  const ArrayInfo& array = find_array(table, key);
  std::vector<float> values;
  read_array(table, array, [&](HeaderCursor& cursor) {
    switch (static_cast<ValueType>(array.element_type)) {
      case ValueType::kF32:
        return append_numbers<float>(cursor, array.n_elements, values);
      case ValueType::kF64:
        return append_numbers<double>(cursor, array.n_elements, values);
      default:
        fail_element_type(table, key, array, "floats");
    }
  });
  return values;
}

std::vector<std::int32_t> read_int_array(const TensorTable& table, const std::string& key) {
  const ArrayInfo& array = find_array(table, key);
  std::vector<std::int32_t> values;
  read_array(table, array, [&](HeaderCursor& cursor) {
    const std::int64_t n = array.n_elements;
    switch (static_cast<ValueType>(array.element_type)) {
      case ValueType::kU8:
        return append_numbers<std::uint8_t>(cursor, n, values);
      case ValueType::kI8:
        return append_numbers<std::int8_t>(cursor, n, values);
      case ValueType::kU16:
        return append_numbers<std::uint16_t>(cursor, n, values);
      case ValueType::kI16:
        return append_numbers<std::int16_t>(cursor, n, values);
      case ValueType::kU32:
        return append_numbers<std::uint32_t>(cursor, n, values);
      case ValueType::kI32:
        return append_numbers<std::int32_t>(cursor, n, values);
      case ValueType::kU64:
        return append_numbers<std::uint64_t>(cursor, n, values);
      case ValueType::kI64:
        return append_numbers<std::int64_t>(cursor, n, values);
      default:
        fail_element_type(table, key, array, "integers");
    }
  });
  return values;
}

}  // namespace windlass

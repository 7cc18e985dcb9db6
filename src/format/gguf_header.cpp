#include "src/format/gguf_header.h"

#include <algorithm>
#include <utility>

#include "src/format/gguf_value.h"
#include "src/format/printable.h"

namespace windlass::gguf {
namespace {

// The least bytes that an entry takes in the file: they bound the counts before anything is
// believed.
constexpr std::int64_t kMinMetadataBytes = 8 + 1 + 4 + 1;  // key length, key, type, value
constexpr std::int64_t kMinTensorBytes =
    8 + 1 + 4 + 4 + 8;  // name length, name, n_dims, type, offset

std::int64_t read_count(HeaderCursor& cursor, std::int64_t min_entry_bytes, std::int64_t limit,
                        const char* what) {
  const std::int64_t at = cursor.offset();
  const auto count = cursor.read<std::uint64_t>(what);
  const auto fitting = static_cast<std::uint64_t>(cursor.remaining() / min_entry_bytes);
  if (count > fitting) {
    cursor.fail_at(at, "{} is {}, but the {} B left in the file hold at most {}", what, count,
                   cursor.remaining(), fitting);
  }
  if (count > static_cast<std::uint64_t>(limit)) {
    cursor.fail_at(at, "{} is {}, more than the {} allowed", what, count, limit);
  }
  return static_cast<std::int64_t>(count);
}

ArrayInfo read_array(HeaderCursor& cursor, FileId file) {
  const std::int64_t type_at = cursor.offset();
  const auto element_type = cursor.read<std::uint32_t>("an array's element type");
  const std::int64_t count_at = cursor.offset();
  const auto count = cursor.read<std::uint64_t>("an array's length");
  const bool strings = element_type == static_cast<std::uint32_t>(ValueType::kString);
  const std::int64_t element_bytes = strings ? 8 : value_bytes(element_type);
  if (element_type == static_cast<std::uint32_t>(ValueType::kArray)) {
    cursor.fail_at(type_at, "an array of arrays is not supported");
  }
  if (element_bytes == 0) {
    cursor.fail_at(type_at, "unknown array element type {}", element_type);
  }
  const std::int64_t fitting = cursor.remaining() / element_bytes;
  if (count > static_cast<std::uint64_t>(fitting)) {
    cursor.fail_at(count_at, "an array claims {} elements, but at most {} fit in the {} B left",
                   count, fitting, cursor.remaining());
  }
  ArrayInfo array;
  array.element_type = static_cast<std::int32_t>(element_type);
  array.n_elements = static_cast<std::int64_t>(count);
  array.extent = {file, cursor.offset(), 0};
  if (strings) {
    for (std::int64_t i = 0; i < array.n_elements; ++i) cursor.skip_string("an array's string");
  } else {
    cursor.skip(array.n_elements * element_bytes, "an array");
  }
  array.extent.size_bytes = cursor.offset() - array.extent.offset_bytes;
  return array;
}

bool read_bool(HeaderCursor& cursor) {
  const std::int64_t at = cursor.offset();
  const auto byte = cursor.read<std::uint8_t>("a bool");
  if (byte > 1) cursor.fail_at(at, "a bool is {}, neither 0 nor 1", byte);
  return byte == 1;
}

template <typename T>
MetadataValue read_number(HeaderCursor& cursor) {
  using Kept =
      std::conditional_t<std::is_floating_point_v<T>, double,
                         std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>;
  return static_cast<Kept>(cursor.read<T>("a metadata value"));
}

MetadataValue read_scalar(HeaderCursor& cursor, std::uint32_t type, std::int64_t type_at) {
  switch (static_cast<ValueType>(type)) {
    case ValueType::kU8:
      return read_number<std::uint8_t>(cursor);
    case ValueType::kI8:
      return read_number<std::int8_t>(cursor);
    case ValueType::kU16:
      return read_number<std::uint16_t>(cursor);
    case ValueType::kI16:
      return read_number<std::int16_t>(cursor);
    case ValueType::kU32:
      return read_number<std::uint32_t>(cursor);
    case ValueType::kI32:
      return read_number<std::int32_t>(cursor);
    case ValueType::kU64:
      return read_number<std::uint64_t>(cursor);
    case ValueType::kI64:
      return read_number<std::int64_t>(cursor);
    case ValueType::kF32:
      return read_number<float>(cursor);
    case ValueType::kF64:
      return read_number<double>(cursor);
    case ValueType::kBool:
      return read_bool(cursor);
    case ValueType::kString:
      return cursor.read_string(kMaxStringBytes, "a metadata string");
    case ValueType::kArray:
      break;  // the caller's
  }
  cursor.fail_at(type_at, "unknown metadata value type {}", type);
}

}  // namespace

FixedHeader read_fixed_header(HeaderCursor& cursor) {
  if (cursor.remaining() == 0) cursor.fail_at(0, "the file is empty");
  const auto magic = cursor.read<std::uint32_t>("the magic number");
  if (magic != kMagic) {
    cursor.fail_at(0, "not a GGUF file: it starts with {:08x} (hexadecimal), GGUF with {:08x}",
                   __builtin_bswap32(magic), __builtin_bswap32(kMagic));
  }
  FixedHeader header;
  header.version = cursor.read<std::uint32_t>("the version");
  if (header.version != 2 && header.version != 3) {
    const std::uint32_t swapped = __builtin_bswap32(header.version);
    if (swapped >= 1 && swapped <= 3) {
      cursor.fail_at(4, "a big-endian GGUF file (version {}); only little-endian is supported",
                     swapped);
    }
    cursor.fail_at(4, "GGUF version {} is not supported; 2 and 3 are", header.version);
  }
  header.n_tensors = read_count(cursor, kMinTensorBytes, kMaxTensors, "the tensor count");
  header.n_metadata = read_count(cursor, kMinMetadataBytes, kMaxMetadata, "the metadata count");
  return header;
}

MetadataEntry read_metadata_entry(HeaderCursor& cursor, FileId file) {
  MetadataEntry entry;
  entry.key_offset = cursor.offset();
  entry.key = cursor.read_string(kMaxKeyBytes, "a metadata key");
  if (entry.key.empty()) cursor.fail_at(entry.key_offset, "a metadata key is empty");
  entry.type_offset = cursor.offset();
  const auto type = cursor.read<std::uint32_t>("a metadata type");
  if (type == static_cast<std::uint32_t>(ValueType::kArray)) {
    entry.value = read_array(cursor, file);
  } else {
    entry.value = read_scalar(cursor, type, entry.type_offset);
  }
  return entry;
}

}  // namespace windlass::gguf

#include "src/format/gguf_header_builder.h"

#include <cstring>
#include <span>
#include <type_traits>

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "src/format/gguf.h"
#include "src/format/gguf_header.h"
#include "src/format/gguf_value.h"
#include "src/format/posix_file.h"
#include "src/format/printable.h"

namespace windlass {
namespace {

using gguf::ValueType;

template <typename T>
void put(std::string& out, T value) {
  static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

void put_string(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  out.append(text);
}

}  // namespace

GgufHeaderBuilder::GgufHeaderBuilder(std::int64_t alignment_bytes) : alignment_(alignment_bytes) {
  WINDLASS_CHECK(alignment_bytes > 0 && (alignment_bytes & (alignment_bytes - 1)) == 0,
                 alignment_bytes);
  if (alignment_bytes != 32) {
    add_metadata_u32("general.alignment", static_cast<std::uint32_t>(alignment_bytes));
  }
}

void GgufHeaderBuilder::begin_value(const std::string& key, ValueType type) {
  ++n_metadata_;
  put_string(metadata_, key);
  put(metadata_, type);
}

void GgufHeaderBuilder::begin_array(const std::string& key, ValueType type,
                                    std::size_t n_elements) {
  begin_value(key, ValueType::kArray);
  put(metadata_, type);
  put(metadata_, static_cast<std::uint64_t>(n_elements));
}

void GgufHeaderBuilder::add_metadata(const std::string& key, const MetadataValue& value) {
  std::string& out = metadata_;
  if (const auto* flag = std::get_if<bool>(&value)) {
    begin_value(key, ValueType::kBool);
    put(out, static_cast<std::uint8_t>(*flag));
  } else if (const auto* signed_value = std::get_if<std::int64_t>(&value)) {
    begin_value(key, ValueType::kI64);
    put(out, *signed_value);
  } else if (const auto* unsigned_value = std::get_if<std::uint64_t>(&value)) {
    begin_value(key, ValueType::kU64);
    put(out, *unsigned_value);
  } else if (const auto* real = std::get_if<double>(&value)) {
    begin_value(key, ValueType::kF64);
    put(out, *real);
  } else {
    begin_value(key, ValueType::kString);
    put_string(out, std::get<std::string>(value));
  }
}

void GgufHeaderBuilder::add_metadata_u32(const std::string& key, std::uint32_t value) {
  begin_value(key, ValueType::kU32);
  put(metadata_, value);
}

void GgufHeaderBuilder::add_metadata_f32(const std::string& key, float value) {
  begin_value(key, ValueType::kF32);
  put(metadata_, value);
}

void GgufHeaderBuilder::add_string_array(const std::string& key,
                                         const std::vector<std::string>& values) {
  begin_array(key, ValueType::kString, values.size());
  for (const std::string& value : values) put_string(metadata_, value);
}

void GgufHeaderBuilder::add_strings(const std::string& key, std::int64_t n,
                                    const std::function<void(const PutString&)>& give) {
  begin_array(key, ValueType::kString, static_cast<std::size_t>(n));
  std::int64_t given = 0;
  give([&](std::string_view text) {
    put_string(metadata_, text);
    ++given;
  });
  WINDLASS_CHECK(given == n, key, given, n);
}

void GgufHeaderBuilder::add_int_array(const std::string& key,
                                      const std::vector<std::int32_t>& values) {
  begin_array(key, ValueType::kI32, values.size());
  for (const std::int32_t value : values) put(metadata_, value);
}

void GgufHeaderBuilder::add_float_array(const std::string& key, const std::vector<float>& values) {
  begin_array(key, ValueType::kF32, values.size());
  for (const float value : values) put(metadata_, value);
}

void GgufHeaderBuilder::add_byte_array(const std::string& key, std::string_view bytes) {
  begin_array(key, ValueType::kU8, bytes.size());
  metadata_.append(bytes);
}

// A TensorTable forgets a number's width, so the entry is found again in the file's own header.
void GgufHeaderBuilder::copy_metadata(const TensorTable& from, const std::string& key) {
  WINDLASS_CHECK(!from.files.empty(), key);
  const PosixFile file(from.files.front().path);
  const ReadAt read_at = [&file](std::int64_t offset, std::span<std::byte> destination) {
    file.read_at(offset, destination);
  };
  HeaderCursor cursor(read_at, file.path(), 0, file.size_bytes());
  const gguf::FixedHeader fixed = gguf::read_fixed_header(cursor);
  for (std::int64_t i = 0; i < fixed.n_metadata; ++i) {
    const gguf::MetadataEntry entry = gguf::read_metadata_entry(cursor, FileId{0});
    if (entry.key != key) continue;
    std::string bytes(static_cast<std::size_t>(cursor.offset() - entry.type_offset), '\0');
    file.read_at(entry.type_offset, std::as_writable_bytes(std::span(bytes)));
    ++n_metadata_;
    put_string(metadata_, key);
    metadata_ += bytes;
    return;
  }
  fail(ErrorCode::kBadFile, "{}: metadata key '{}' is missing", file.path(), printable(key));
}

void GgufHeaderBuilder::add_tensor(const std::string& name, DType type,
                                   const std::vector<std::int64_t>& shape) {
  WINDLASS_CHECK(!shape.empty() && shape.size() <= 4, name, shape.size());
  TensorInfo info;
  info.type = type;
  info.shape = shape;
  tensors_.push_back({name, type, shape, info.n_rows() * info.row_bytes(), data_bytes()});
}

std::int64_t GgufHeaderBuilder::data_bytes() const {
  if (tensors_.empty()) return 0;
  return align_up(tensors_.back().offset_bytes + tensors_.back().size_bytes, alignment_);
}

std::string GgufHeaderBuilder::header() const {
  std::string text;
  put(text, gguf::kMagic);
  put(text, gguf::kVersion);
  put(text, static_cast<std::uint64_t>(tensors_.size()));
  put(text, n_metadata_);
  text += metadata_;
  for (const Tensor& tensor : tensors_) {
    put_string(text, tensor.name);
    put(text, static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto dim = tensor.shape.rbegin(); dim != tensor.shape.rend(); ++dim) put(text, *dim);
    put(text, tensor.type);
    put(text, tensor.offset_bytes);
  }
  text.resize(
      static_cast<std::size_t>(align_up(static_cast<std::int64_t>(text.size()), alignment_)));
  return text;
}

}  // namespace windlass

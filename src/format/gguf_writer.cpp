// GgufWriter: header from declarations kept in memory, tensor data streamed behind it.
#include <cstring>
#include <type_traits>
#include <utility>

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/base/output_file.h"
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

struct DeclaredTensor {
  std::string name;
  DType type;
  std::vector<std::int64_t> shape;
  std::int64_t size_bytes;
};

}  // namespace

struct GgufWriter::State {
  State(const std::string& path, std::int64_t alignment_bytes)
      : out(path), alignment(alignment_bytes) {}

  void begin_value(const std::string& key, ValueType type);
  void begin_array(const std::string& key, ValueType type, std::size_t n_elements);
  std::string header() const;
  // Pads the file to the alignment where a tensor has just become whole, and steps to the next one.
  void finish_tensor();

  OutputFile out;
  const std::int64_t alignment;
  std::string metadata;  // serialised entries
  std::uint64_t n_metadata = 0;
  std::vector<DeclaredTensor> tensors;
  bool data_begun = false;
  std::size_t current = 0;  // tensor being written
  std::int64_t current_written_bytes = 0;
};

void GgufWriter::State::begin_value(const std::string& key, ValueType type) {
  WINDLASS_CHECK(!data_begun, key);
  ++n_metadata;
  put_string(metadata, key);
  put(metadata, type);
}

void GgufWriter::State::begin_array(const std::string& key, ValueType type,
                                    std::size_t n_elements) {
  begin_value(key, ValueType::kArray);
  put(metadata, type);
  put(metadata, static_cast<std::uint64_t>(n_elements));
}

std::string GgufWriter::State::header() const {
  std::string text;
  put(text, gguf::kMagic);
  put(text, gguf::kVersion);
  put(text, static_cast<std::uint64_t>(tensors.size()));
  put(text, n_metadata);
  text += metadata;
  std::int64_t offset = 0;
  for (const DeclaredTensor& tensor : tensors) {
    put_string(text, tensor.name);
    put(text, static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto dim = tensor.shape.rbegin(); dim != tensor.shape.rend(); ++dim) put(text, *dim);
    put(text, tensor.type);
    put(text, offset);
    offset = align_up(offset + tensor.size_bytes, alignment);
  }
  text.resize(
      static_cast<std::size_t>(align_up(static_cast<std::int64_t>(text.size()), alignment)));
  return text;
}

void GgufWriter::State::finish_tensor() {
  while (current < tensors.size() && current_written_bytes == tensors[current].size_bytes) {
    const std::int64_t size = tensors[current].size_bytes;
    const std::string padding(static_cast<std::size_t>(align_up(size, alignment) - size), '\0');
    out.write(std::as_bytes(std::span(padding)));
    ++current;
    current_written_bytes = 0;
  }
}

GgufWriter::GgufWriter(const std::string& path, std::int64_t alignment_bytes) {
  WINDLASS_CHECK(alignment_bytes > 0 && (alignment_bytes & (alignment_bytes - 1)) == 0,
                 alignment_bytes);
  state_ = std::make_unique<State>(path, alignment_bytes);
  if (alignment_bytes != 32) {
    add_metadata_u32("general.alignment", static_cast<std::uint32_t>(alignment_bytes));
  }
}

GgufWriter::~GgufWriter() = default;

void GgufWriter::add_metadata(const std::string& key, const MetadataValue& value) {
  std::string& out = state_->metadata;
  if (const auto* flag = std::get_if<bool>(&value)) {
    state_->begin_value(key, ValueType::kBool);
    put(out, static_cast<std::uint8_t>(*flag));
  } else if (const auto* signed_value = std::get_if<std::int64_t>(&value)) {
    state_->begin_value(key, ValueType::kI64);
    put(out, *signed_value);
  } else if (const auto* unsigned_value = std::get_if<std::uint64_t>(&value)) {
    state_->begin_value(key, ValueType::kU64);
    put(out, *unsigned_value);
  } else if (const auto* real = std::get_if<double>(&value)) {
    state_->begin_value(key, ValueType::kF64);
    put(out, *real);
  } else {
    state_->begin_value(key, ValueType::kString);
    put_string(out, std::get<std::string>(value));
  }
}

void GgufWriter::add_metadata_u32(const std::string& key, std::uint32_t value) {
  state_->begin_value(key, ValueType::kU32);
  put(state_->metadata, value);
}

void GgufWriter::add_metadata_f32(const std::string& key, float value) {
  state_->begin_value(key, ValueType::kF32);
  put(state_->metadata, value);
}

void GgufWriter::add_string_array(const std::string& key, const std::vector<std::string>& values) {
  state_->begin_array(key, ValueType::kString, values.size());
  for (const std::string& value : values) put_string(state_->metadata, value);
}

void GgufWriter::add_int_array(const std::string& key, const std::vector<std::int32_t>& values) {
  state_->begin_array(key, ValueType::kI32, values.size());
  for (const std::int32_t value : values) put(state_->metadata, value);
}

void GgufWriter::add_float_array(const std::string& key, const std::vector<float>& values) {
  state_->begin_array(key, ValueType::kF32, values.size());
  for (const float value : values) put(state_->metadata, value);
}

// A TensorTable forgets a number's width, so the entry is found again in the file's own header.
void GgufWriter::copy_metadata(const TensorTable& from, const std::string& key) {
  WINDLASS_CHECK(!state_->data_begun && !from.files.empty(), key);
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
    ++state_->n_metadata;
    put_string(state_->metadata, key);
    state_->metadata += bytes;
    return;
  }
  fail(ErrorCode::kBadFile, "{}: metadata key '{}' is missing", file.path(), printable(key));
}

void GgufWriter::add_tensor(const std::string& name, DType type,
                            const std::vector<std::int64_t>& shape) {
  WINDLASS_CHECK(!state_->data_begun && !shape.empty() && shape.size() <= 4, name, shape.size());
  TensorInfo info;
  info.type = type;
  info.shape = shape;
  state_->tensors.push_back({name, type, shape, info.n_rows() * info.row_bytes()});
}

void GgufWriter::begin_data() {
  WINDLASS_CHECK(!state_->data_begun);
  const std::string header = state_->header();
  state_->out.write(std::as_bytes(std::span(header)));
  state_->data_begun = true;
}

void GgufWriter::write_data(std::span<const std::byte> bytes) {
  State& state = *state_;
  WINDLASS_CHECK(state.data_begun);
  while (!bytes.empty()) {
    WINDLASS_CHECK(state.current < state.tensors.size(), bytes.size());
    const std::int64_t missing =
        state.tensors[state.current].size_bytes - state.current_written_bytes;
    const std::size_t piece = std::min(bytes.size(), static_cast<std::size_t>(missing));
    state.out.write(bytes.first(piece));
    bytes = bytes.subspan(piece);
    state.current_written_bytes += static_cast<std::int64_t>(piece);
    state.finish_tensor();
  }
}

void GgufWriter::skip_data() {
  State& state = *state_;
  WINDLASS_CHECK(state.data_begun);
  std::int64_t hole = -state.current_written_bytes;
  for (; state.current < state.tensors.size(); ++state.current) {
    hole += align_up(state.tensors[state.current].size_bytes, state.alignment);
  }
  state.current_written_bytes = 0;
  state.out.skip(std::max<std::int64_t>(hole, 0));
}

std::int64_t GgufWriter::finish() {
  State& state = *state_;
  WINDLASS_CHECK(state.data_begun && state.current == state.tensors.size(), state.current,
                 state.tensors.size());
  return state.out.finish();
}

}  // namespace windlass

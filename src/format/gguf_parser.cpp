// parse_gguf: one file's header into a TensorTable. Layout:
//   magic u32, version u32, n_tensors u64, n_metadata u64; metadata: key string, type u32, value;
//   tensors: name string, n_dims u32, dims u64 (fastest first), type u32, offset u64 (from the
//   data's start); padding; data.
#include <algorithm>
#include <utility>

#include "src/base/check.h"
#include "src/base/units.h"
#include "src/format/gguf.h"
#include "src/format/gguf_header.h"
#include "src/format/header_cursor.h"
#include "src/format/printable.h"

namespace windlass {
namespace {

constexpr std::int64_t kDefaultAlignment = 32;
constexpr std::int64_t kMaxAlignment = std::int64_t{1} << 30;
constexpr std::uint32_t kMaxDims = 4;

struct FileHeader {
  std::map<std::string, MetadataValue> metadata;
  std::map<std::string, ArrayInfo> arrays;
  std::vector<TensorInfo> tensors;
  std::int64_t alignment = kDefaultAlignment;
};

void check_alignment(const HeaderCursor& cursor, const gguf::MetadataEntry& entry,
                     FileHeader& header) {
  const auto* value = std::get_if<MetadataValue>(&entry.value);
  const auto* number = value == nullptr ? nullptr : std::get_if<std::uint64_t>(value);
  if (number == nullptr) {
    cursor.fail_at(entry.type_offset, "general.alignment is not an unsigned integer");
  }
  if (*number == 0 || (*number & (*number - 1)) != 0 ||
      *number > static_cast<std::uint64_t>(kMaxAlignment)) {
    cursor.fail_at(entry.type_offset, "general.alignment is {}, not a power of two up to {}",
                   *number, kMaxAlignment);
  }
  header.alignment = static_cast<std::int64_t>(*number);
}

void read_metadata(HeaderCursor& cursor, std::int64_t n_metadata, FileId file, FileHeader& header) {
  for (std::int64_t i = 0; i < n_metadata; ++i) {
    gguf::MetadataEntry entry = gguf::read_metadata_entry(cursor, file);
    if (header.metadata.contains(entry.key) || header.arrays.contains(entry.key)) {
      cursor.fail_at(entry.key_offset, "metadata key '{}' appears a second time",
                     printable(entry.key));
    }
    if (entry.key == "general.alignment") check_alignment(cursor, entry, header);
    if (auto* array = std::get_if<ArrayInfo>(&entry.value)) {
      header.arrays.emplace(std::move(entry.key), *array);
    } else {
      header.metadata.emplace(std::move(entry.key),
                              std::get<MetadataValue>(std::move(entry.value)));
    }
  }
}

std::vector<std::int64_t> read_shape(HeaderCursor& cursor, const std::string& name) {
  const std::int64_t at = cursor.offset();
  const auto n_dims = cursor.read<std::uint32_t>("a tensor's dimension count");
  if (n_dims > kMaxDims) {
    cursor.fail_at(at, "tensor '{}' has {} dimensions; at most {} are allowed", printable(name),
                   n_dims, kMaxDims);
  }
  std::vector<std::int64_t> shape(n_dims);
  std::int64_t n_weights = 1;
  for (std::uint32_t i = 0; i < n_dims; ++i) {
    const std::int64_t dim_at = cursor.offset();
    const auto dim = cursor.read<std::int64_t>("a tensor's dimension");
    if (dim <= 0) {
      cursor.fail_at(dim_at, "dimension {} of tensor '{}' is {}", i, printable(name), dim);
    }
    if (__builtin_mul_overflow(n_weights, dim, &n_weights)) {
      cursor.fail_at(dim_at, "the dimensions of tensor '{}' overflow 64 bits", printable(name));
    }
    shape[n_dims - 1 - i] = dim;
  }
  return shape;
}

// Bytes of the whole tensor, or an error naming what does not fit.
std::int64_t checked_size(const HeaderCursor& cursor, std::int64_t at, const TensorInfo& tensor) {
  const DTypeInfo& type = dtype_info(tensor.type);
  if (tensor.n_cols() % type.block_weights != 0) {
    cursor.fail_at(at, "tensor '{}': rows of {} weights are not whole {} blocks of {}",
                   printable(tensor.name), tensor.n_cols(), type.name, type.block_weights);
  }
  // n_rows and n_cols multiply without overflow (read_shape); only the block's bytes may push it
  // over.
  const std::int64_t n_blocks = tensor.n_rows() * (tensor.n_cols() / type.block_weights);
  std::int64_t size_bytes = 0;
  if (__builtin_mul_overflow(n_blocks, type.block_bytes, &size_bytes)) {
    cursor.fail_at(at, "the bytes of tensor '{}' overflow 64 bits", printable(tensor.name));
  }
  return size_bytes;
}

// extent.offset_bytes is still relative to the data's start.
TensorInfo read_tensor(HeaderCursor& cursor, FileId file, std::int64_t alignment) {
  const std::int64_t name_at = cursor.offset();
  TensorInfo tensor;
  tensor.name = cursor.read_string(gguf::kMaxNameBytes, "a tensor's name");
  if (tensor.name.empty()) cursor.fail_at(name_at, "a tensor's name is empty");
  tensor.shape = read_shape(cursor, tensor.name);
  const std::int64_t type_at = cursor.offset();
  const auto type_id = cursor.read<std::uint32_t>("a tensor's type");
  const DTypeInfo* type = find_dtype(type_id);
  if (type == nullptr) {
    cursor.fail_at(type_at, "tensor '{}' has the unknown type id {}", printable(tensor.name),
                   type_id);
  }
  tensor.type = type->type;
  const std::int64_t offset_at = cursor.offset();
  const auto offset = cursor.read<std::int64_t>("a tensor's offset");
  if (offset < 0 || offset % alignment != 0) {
    cursor.fail_at(offset_at, "the offset {} of tensor '{}' is not a multiple of the alignment {}",
                   static_cast<std::uint64_t>(offset), printable(tensor.name), alignment);
  }
  tensor.extent = {file, offset, checked_size(cursor, type_at, tensor)};
  return tensor;
}

// Makes offsets absolute and checks that extents lie in the file and apart. Leaves tensors in
// offset order.
void place_tensors(const HeaderCursor& cursor, std::int64_t data_begin, std::int64_t file_size,
                   std::vector<TensorInfo>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return a.extent.offset_bytes < b.extent.offset_bytes;
  });
  const std::int64_t data_bytes = std::max<std::int64_t>(file_size - data_begin, 0);
  const TensorInfo* before = nullptr;
  for (TensorInfo& tensor : tensors) {
    Extent& extent = tensor.extent;
    if (extent.offset_bytes > data_bytes || extent.size_bytes > data_bytes - extent.offset_bytes) {
      cursor.fail_at(file_size,
                     "tensor '{}' of {} B at byte {} of the {} B of tensor data passes the end of "
                     "the file ({} B); is it truncated?",
                     printable(tensor.name), extent.size_bytes, extent.offset_bytes, data_bytes,
                     file_size);
    }
    extent.offset_bytes += data_begin;
    if (before != nullptr && before->extent.end_bytes() > extent.offset_bytes) {
      cursor.fail_at(extent.offset_bytes, "tensor '{}' begins before tensor '{}' ends at byte {}",
                     printable(tensor.name), printable(before->name), before->extent.end_bytes());
    }
    before = &tensor;
  }
}

}  // namespace

void parse_gguf(const ReadAt& read_at, const std::string& path, std::int64_t file_size, FileId file,
                TensorTable& table) {
  WINDLASS_CHECK(index_of(file) == static_cast<std::int32_t>(table.files.size()), index_of(file),
                 table.files.size());
  HeaderCursor cursor(read_at, path, 0, file_size);
  const gguf::FixedHeader fixed = gguf::read_fixed_header(cursor);
  FileHeader header;
  read_metadata(cursor, fixed.n_metadata, file, header);
  for (std::int64_t i = 0; i < fixed.n_tensors; ++i) {
    header.tensors.push_back(read_tensor(cursor, file, header.alignment));
  }
  place_tensors(cursor, align_up(cursor.offset(), header.alignment), file_size, header.tensors);

  table.files.push_back({path, file_size});
  table.tensors.insert(table.tensors.end(), std::make_move_iterator(header.tensors.begin()),
                       std::make_move_iterator(header.tensors.end()));
  table.metadata.merge(header.metadata);
  table.arrays.merge(header.arrays);
  table.header_bytes += cursor.bytes_read();
}

}  // namespace windlass

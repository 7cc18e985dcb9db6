#include "src/model/fingerprint.h"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <span>
#include <string>

#include "src/base/checksum.h"
#include "src/format/posix_file.h"

namespace windlass {
namespace {

constexpr std::int64_t kSampleBytes = 4096;

class Fingerprint {
 public:
  explicit Fingerprint(const TensorTable& table) {
    for (const ModelFile& file : table.files) {
      files_.push_back(std::make_unique<PosixFile>(file.path));
    }
  }

  void add_text(std::string_view text) { add_bytes(std::as_bytes(std::span(text))); }
  void add_number(std::int64_t number) { add_bytes(std::as_bytes(std::span(&number, 1))); }
  void add_value(const MetadataValue& value) {
    add_number(static_cast<std::int64_t>(value.index()));
    if (const auto* text = std::get_if<std::string>(&value)) return add_text(*text);
    if (const auto* real = std::get_if<double>(&value))
      return add_number(std::bit_cast<std::int64_t>(*real));
    if (const auto* flag = std::get_if<bool>(&value)) return add_number(*flag ? 1 : 0);
    if (const auto* whole = std::get_if<std::int64_t>(&value)) return add_number(*whole);
    add_number(static_cast<std::int64_t>(std::get<std::uint64_t>(value)));
  }
  void add_samples(const Extent& extent) {
    add_number(extent.size_bytes);
    const std::int64_t last = std::max<std::int64_t>(extent.size_bytes - kSampleBytes, 0);
    for (const std::int64_t offset : {std::int64_t{0}, last / 2, last}) {
      const std::span<std::byte> part = std::span(buffer_).first(
          static_cast<std::size_t>(std::min(kSampleBytes, extent.size_bytes)));
      files_[static_cast<std::size_t>(index_of(extent.file))]->read_at(extent.offset_bytes + offset,
                                                                       part);
      add_bytes(part);
    }
  }
  std::uint64_t value() const { return sum_; }

 private:
  void add_bytes(std::span<const std::byte> bytes) { sum_ = checksum64(bytes, sum_); }

  std::vector<std::unique_ptr<PosixFile>> files_;
  std::array<std::byte, kSampleBytes> buffer_;
  std::uint64_t sum_ = 0;
};

// Where a tensor or a shard lies must not matter.
bool is_layout(const std::string& key) { return key.starts_with("split."); }

}  // namespace

std::uint64_t model_fingerprint(const TensorTable& table) {
  Fingerprint fingerprint(table);
  for (const auto& [key, value] : table.metadata) {
    if (is_layout(key)) continue;
    fingerprint.add_text(key);
    fingerprint.add_value(value);
  }
  for (const auto& [key, array] : table.arrays) {
    fingerprint.add_text(key);
    fingerprint.add_number(array.n_elements);
    fingerprint.add_samples(array.extent);
  }
  for (const auto& [name, values] : table.vectors) {
    fingerprint.add_text(name);
    for (const float value : values) fingerprint.add_number(std::bit_cast<std::int32_t>(value));
  }
  std::vector<const TensorInfo*> tensors;
  for (const TensorInfo& tensor : table.tensors) tensors.push_back(&tensor);
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorInfo* a, const TensorInfo* b) { return a->name < b->name; });
  for (const TensorInfo* tensor : tensors) {
    fingerprint.add_text(tensor->name);
    fingerprint.add_number(static_cast<std::int64_t>(tensor->type));
    for (const std::int64_t size : tensor->shape) fingerprint.add_number(size);
    fingerprint.add_samples(tensor->extent);
  }
  return fingerprint.value();
}

}  // namespace windlass

// parse_safetensors: one file's header.
#include "src/format/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "src/base/error.h"
#include "src/format/header_cursor.h"
#include "src/format/json_events.h"
#include "src/format/printable.h"

namespace windlass {
namespace {

// The reference implementation's own limit.
constexpr std::int64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kMaxDims = 8;
constexpr int kMaxDepth = 3;  // {"name": {"shape": [...]}}

struct SafetensorsType {
  std::string_view name;
  std::int64_t size_bytes;
};
constexpr std::array kSafetensorsTypes = {
    SafetensorsType{"F32", 4}, SafetensorsType{"F16", 2},     SafetensorsType{"BF16", 2},
    SafetensorsType{"F64", 8}, SafetensorsType{"F8_E4M3", 1}, SafetensorsType{"F8_E5M2", 1},
    SafetensorsType{"I8", 1},  SafetensorsType{"I16", 2},     SafetensorsType{"I32", 4},
    SafetensorsType{"I64", 8}, SafetensorsType{"U8", 1},      SafetensorsType{"U16", 2},
    SafetensorsType{"U32", 4}, SafetensorsType{"U64", 8},     SafetensorsType{"BOOL", 1},
    SafetensorsType{"C64", 8}, SafetensorsType{"F8_E8M0", 1}};

const SafetensorsType* find_type(std::string_view name) {
  for (const SafetensorsType& type : kSafetensorsTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

// Collects the header's tensors; extents stay relative to the data's start.
class HeaderHandler final : public JsonHandler {
 public:
  HeaderHandler(const std::string& path, FileId file, std::vector<SafetensorsTensor>& tensors)
      : path_(path), file_(file), tensors_(tensors) {}

  void begin_object() override {
    if (place_ == Place::kStart) {
      place_ = Place::kRoot;
    } else if (place_ == Place::kTensorValue) {
      place_ = Place::kTensor;
    } else if (place_ == Place::kMetadataValue) {
      place_ = Place::kMetadata;
    } else {
      unexpected("an object");
    }
  }

  void key(std::string& name) override {
    if (place_ == Place::kMetadata) return;  // free text: nothing here depends on it
    if (place_ == Place::kTensor) {
      field_ = name;
      return;
    }
    tensor_ = SafetensorsTensor{};
    tensor_.name = std::move(name);
    begin_ = end_ = -1;
    has_shape_ = false;
    place_ = tensor_.name == "__metadata__" ? Place::kMetadataValue : Place::kTensorValue;
  }

  void end_object() override {
    if (place_ == Place::kTensor) finish_tensor();
    place_ = Place::kRoot;
  }

  void begin_array() override {
    if (place_ != Place::kTensor) unexpected("an array");
    if (field_ == "shape" && !has_shape_) {
      place_ = Place::kShape;
      has_shape_ = true;
    } else if (field_ == "data_offsets" && begin_ < 0) {
      place_ = Place::kOffsets;
    } else {
      unexpected("an array");
    }
  }

  void end_array() override { place_ = Place::kTensor; }

  void text(std::string& value) override {
    if (place_ == Place::kMetadata) return;
    if (place_ != Place::kTensor || field_ != "dtype" || !tensor_.type.empty()) {
      unexpected("a string");
    }
    const SafetensorsType* type = find_type(value);
    if (type == nullptr) {
      fail(ErrorCode::kUnsupported, "{}: tensor '{}' has the unknown type '{}'", path_,
           printable(tensor_.name), printable(value));
    }
    tensor_.type = type->name;
  }

  void integer(std::int64_t value) override {
    if (place_ == Place::kShape && tensor_.shape.size() < kMaxDims && value >= 0) {
      tensor_.shape.push_back(value);
    } else if (place_ == Place::kOffsets && begin_ < 0 && value >= 0) {
      begin_ = value;
    } else if (place_ == Place::kOffsets && begin_ >= 0 && end_ < 0 && value >= begin_) {
      end_ = value;
    } else {
      unexpected("a number");
    }
  }

 private:
  enum class Place {
    kStart,
    kRoot,
    kMetadataValue,
    kMetadata,
    kTensorValue,
    kTensor,
    kShape,
    kOffsets,
  };

  [[noreturn]] void unexpected(const char* what) override {
    static constexpr const char* kPlaces[] = {
        "at the header's start", "among the tensors",       "at __metadata__", "in __metadata__",
        "in place of a tensor",  "among a tensor's fields", "in a shape",      "in data_offsets"};
    fail(ErrorCode::kBadFile, "{}: the header has {} {} ('{}') where none may be", path_, what,
         kPlaces[static_cast<int>(place_)], printable(tensor_.name));
  }

  void finish_tensor() {
    if (tensor_.type.empty() || !has_shape_ || end_ < 0) {
      fail(ErrorCode::kBadFile, "{}: tensor '{}' lacks its {}", path_, printable(tensor_.name),
           tensor_.type.empty() ? "dtype"
           : !has_shape_        ? "shape"
                                : "data_offsets");
    }
    std::int64_t size_bytes = find_type(tensor_.type)->size_bytes;
    for (const std::int64_t dim : tensor_.shape) {
      if (__builtin_mul_overflow(size_bytes, dim, &size_bytes)) {
        fail(ErrorCode::kBadFile, "{}: the dimensions of tensor '{}' overflow 64 bits", path_,
             printable(tensor_.name));
      }
    }
    if (end_ - begin_ != size_bytes) {
      fail(ErrorCode::kBadFile,
           "{}: tensor '{}' has data_offsets over {} B, but its shape and type {} make {} B", path_,
           printable(tensor_.name), end_ - begin_, tensor_.type, size_bytes);
    }
    tensor_.extent = {file_, begin_, size_bytes};
    tensors_.push_back(std::move(tensor_));
    tensor_ = SafetensorsTensor{};
  }

  const std::string& path_;
  const FileId file_;
  std::vector<SafetensorsTensor>& tensors_;
  Place place_ = Place::kStart;
  SafetensorsTensor tensor_;
  std::string field_;
  bool has_shape_ = false;
  std::int64_t begin_ = -1, end_ = -1;  // data_offsets; -1: not seen
};

// Makes offsets absolute and checks that extents lie in the file and apart; leaves them in offset
// order.
void place_tensors(const std::string& path, std::int64_t data_begin, std::int64_t file_size,
                   std::span<SafetensorsTensor> tensors) {
  std::sort(tensors.begin(), tensors.end(),
            [](const SafetensorsTensor& a, const SafetensorsTensor& b) {
              return std::pair(a.extent.offset_bytes, a.extent.end_bytes()) <
                     std::pair(b.extent.offset_bytes, b.extent.end_bytes());
            });
  const std::int64_t data_bytes = file_size - data_begin;
  const SafetensorsTensor* before = nullptr;
  for (SafetensorsTensor& tensor : tensors) {
    Extent& extent = tensor.extent;
    if (extent.end_bytes() > data_bytes) {
      fail(ErrorCode::kBadFile,
           "{}: tensor '{}' ends at byte {} of the tensor data, which has {} B; is the file "
           "truncated?",
           path, printable(tensor.name), extent.end_bytes(), data_bytes);
    }
    extent.offset_bytes += data_begin;
    if (before != nullptr && before->extent.end_bytes() > extent.offset_bytes) {
      fail(ErrorCode::kBadFile, "{}: byte {}: tensor '{}' begins before tensor '{}' ends", path,
           extent.offset_bytes, printable(tensor.name), printable(before->name));
    }
    before = &tensor;
  }
}

}  // namespace

std::optional<DType> dtype_of_safetensors(std::string_view type) {
  if (type == "F32") return DType::kF32;
  if (type == "F16") return DType::kF16;
  if (type == "BF16") return DType::kBF16;
  return std::nullopt;
}

void parse_safetensors(const ReadAt& read_at, const std::string& path, std::int64_t file_size,
                       SafetensorsModel& model) {
  HeaderCursor cursor(read_at, path, 0, file_size);
  if (file_size == 0) cursor.fail_at(0, "the file is empty");
  const std::string header = cursor.read_string(kMaxHeaderBytes, "the header");
  const std::int64_t data_begin = cursor.offset();
  const FileId file{static_cast<std::int32_t>(model.files.size())};
  const std::size_t first = model.tensors.size();
  HeaderHandler handler(path, file, model.tensors);
  read_json_events(header, path, data_begin - std::ssize(header), kMaxDepth, handler);
  place_tensors(path, data_begin, file_size, std::span(model.tensors).subspan(first));
  model.files.push_back({path, file_size});
  model.header_bytes += cursor.bytes_read();
}

}  // namespace windlass

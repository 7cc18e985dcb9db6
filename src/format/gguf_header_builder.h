// The header of a GGUF v3 file from declarations: metadata, tensor names, types and shapes. What
// writes the file (GgufWriter, convert) puts the tensors' data behind it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "src/format/tensor_table.h"

namespace windlass {

namespace gguf {
enum class ValueType : std::uint32_t;
}

// Owner-thread. Keeps the serialised metadata in memory.
class GgufHeaderBuilder {
 public:
  struct Tensor {
    std::string name;
    DType type;
    std::vector<std::int64_t> shape;  // slowest first
    std::int64_t size_bytes;
    std::int64_t offset_bytes;  // from the end of the header
  };

  // REQUIRES: the alignment is a power of two.
  explicit GgufHeaderBuilder(std::int64_t alignment_bytes = 32);

  void add_metadata(const std::string& key, const MetadataValue& value);
  void add_metadata_u32(const std::string& key, std::uint32_t value);
  void add_metadata_f32(const std::string& key, float value);
  void add_string_array(const std::string& key, const std::vector<std::string>& values);
  // n strings without a list of them: `give` calls its argument with each. REQUIRES: n calls.
  using PutString = std::function<void(std::string_view)>;
  void add_strings(const std::string& key, std::int64_t n,
                   const std::function<void(const PutString&)>& give);
  void add_int_array(const std::string& key, const std::vector<std::int32_t>& values);
  void add_float_array(const std::string& key, const std::vector<float>& values);
  void add_byte_array(const std::string& key, std::string_view bytes);
  // Copies key (scalar or array) byte for byte from another file.
  void copy_metadata(const TensorTable& from, const std::string& key);
  // shape slowest first, as in TensorInfo.
  void add_tensor(const std::string& name, DType type, const std::vector<std::int64_t>& shape);

  std::int64_t alignment_bytes() const { return alignment_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }
  // Of the tensors' data, padding included.
  std::int64_t data_bytes() const;
  // The header, padded to the alignment.
  std::string header() const;

 private:
  void begin_value(const std::string& key, gguf::ValueType type);
  void begin_array(const std::string& key, gguf::ValueType type, std::size_t n_elements);

  std::int64_t alignment_;
  std::string metadata_;  // serialised entries
  std::uint64_t n_metadata_ = 0;
  std::vector<Tensor> tensors_;
};

}  // namespace windlass

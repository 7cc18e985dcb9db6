// What a model file holds, by header only: names, shapes, types and byte extents. No weights.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "src/base/dtype.h"
#include "src/base/ids.h"

namespace windlass {

struct TensorInfo {
  std::string name;        // as GGUF names it, in every container
  DType type = DType::kF32;
  // Row-major, slowest first: a weight of a linear is {n_out, n_in} (GGUF stores the reverse order).
  std::vector<std::int64_t> shape;
  Extent extent;
  std::string stored_name = {};  // as its file names it; empty: the same
  bool transposed = false;  // a weight of a linear stored as {n_in, n_out} (gpt2's in safetensors)

  std::int64_t n_cols() const { return shape.empty() ? 1 : shape.back(); }
  std::int64_t n_rows() const;      // product of all but the last dimension
  std::int64_t row_bytes() const;   // of one row of n_cols weights
};

struct ModelFile {
  std::string path;
  std::int64_t size_bytes = 0;
};

// A metadata value. Arrays are not kept here (vocabularies are large): see ArrayInfo.
using MetadataValue = std::variant<bool, std::int64_t, std::uint64_t, double, std::string>;

// Where a metadata array lies in its file, so that the one who needs it can read it then.
struct ArrayInfo {
  std::int32_t element_type = 0;   // GGUF value type id
  std::int64_t n_elements = 0;
  Extent extent;                   // the elements' bytes, after type and count
};

// What the numbers of a container mean, where that differs from GGUF's files of the architecture.
struct Conventions {
  // q and k rows lie so that RoPE rotates (i, i + dims/2), where GGUF's file is laid out for
  // neighbours (llama, whose rows its converter permutes).
  bool rope_halves = false;
  // attn_qkv's rows are, for each KV head, its query heads, its key head and its value head
  // (falcon); GGUF: all query heads, all key heads, all value heads.
  bool qkv_by_group = false;
  // Added to each weight of an RMS norm: 1 where the file stores weights less 1 (gemma).
  float norm_offset = 0;
};

// Thread-compatible; immutable once built. Cost: about 200 B a tensor.
class TensorTable {
 public:
  std::vector<ModelFile> files;
  std::vector<TensorInfo> tensors;              // in (file, offset) order
  std::map<std::string, MetadataValue> metadata;
  std::map<std::string, ArrayInfo> arrays;
  // Small vectors that the container states as numbers (Hugging Face: RoPE factors in config.json),
  // by the names of the tensors that GGUF has for them ("rope_freqs.weight").
  std::map<std::string, std::vector<float>> vectors;
  Conventions conventions;
  std::string folder;                           // of a Hugging Face model; empty: GGUF
  // What the container would call an absent tensor, for messages; null: what GGUF does.
  std::function<std::string(std::string_view name)> stored_name_of;
  std::int64_t header_bytes = 0;                // bytes read to build this

  // Call after filling `tensors`; throws Error(kBadFile) on a duplicate name.
  void build_index();
  // What to call the model in messages: its folder, or its first file.
  std::string path() const;
  // A tensor's name for messages, as its file has it. Takes GGUF's name; also of absent tensors.
  std::string shown_name(std::string_view name) const;
  // What states the hyperparameters, for messages.
  const char* settings_name() const { return folder.empty() ? "the metadata" : "config.json"; }
  // kNoTensor when absent.
  TensorId find(std::string_view name) const;
  const TensorInfo& at(TensorId id) const { return tensors[static_cast<std::size_t>(index_of(id))]; }
  std::int64_t weight_bytes() const;            // sum over all tensors

  // Null / nullopt when the key is absent. Error(kBadFile) naming key and file when it has another type or
  // (integers) lies outside [min, max].
  const std::string* find_string(const std::string& key) const;
  std::optional<std::int64_t> find_int(const std::string& key, std::int64_t min, std::int64_t max) const;
  std::optional<double> find_float(const std::string& key) const;
  std::optional<bool> find_bool(const std::string& key) const;
  // As above, but an absent key is Error(kBadFile).
  std::int64_t require_int(const std::string& key, std::int64_t min, std::int64_t max) const;

 private:
  std::unordered_map<std::string, TensorId> by_name_;
};

}  // namespace windlass

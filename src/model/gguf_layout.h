// A model's tensors as a GGUF file of its architecture holds them, and where each row of them lies
// in the container that was read. Of a GGUF that is what it has; of a Hugging Face folder, see
// Conventions. What `convert` writes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/format/tensor_table.h"
#include "src/model/model_spec.h"

namespace windlass {

// How rows are ordered in the container, where GGUF has them otherwise.
enum class RowOrder : std::uint8_t {
  kSame,
  kRopeHalves,   // in each head the pairs that RoPE turns are halves; GGUF: neighbours
  kQkvByGroup,   // for each KV head its query heads, key, value; GGUF: all queries, keys, values
  kPartOfHeads,  // in each head other rows come first
};

struct GgufTensor {
  std::string name;
  std::vector<std::int64_t> shape;   // slowest first
  std::vector<TensorId> sources;     // whose rows follow one another (experts); empty: `values`
  std::vector<float> values = {};    // what the container states as numbers (RoPE factors)
  std::int64_t rows = 1, width = 1;  // as they are copied: a permuted vector has rows of 1
  RowOrder order = RowOrder::kSame;
  std::int64_t head_dim = 0, turned_dims = 0;          // of kRopeHalves; head_dim also of the next
  std::int64_t kv_heads = 0, queries_per_kv_head = 0;  // of kQkvByGroup
  bool transposed = false;  // rows are the source's columns, in each head by itself
  // Of kPartOfHeads and of transposed ones: rows of a head in the source, those before ours among
  // them. A transposed matrix without heads is one head.
  std::int64_t heads = 1, stored_head_rows = 0, skipped_head_rows = 0;
  float offset = 0;  // to be added to each weight

  std::int64_t head_rows() const { return rows / heads; }
  // Where row `row` lies, counted through the rows of all sources. REQUIRES: 0 <= row < rows, not
  // transposed.
  std::int64_t stored_row(std::int64_t row) const;
};

// In the order of the container's files, numbers first.
// Errors: of a folder as read_model_spec; Error(kUnsupported) for experts of different types.
std::vector<GgufTensor> gguf_layout(const TensorTable& table);
// Of a folder whose spec is known.
std::vector<GgufTensor> gguf_layout(const TensorTable& table, const ModelSpec& spec);

}  // namespace windlass

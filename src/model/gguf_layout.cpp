#include "src/model/gguf_layout.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

#include "src/base/check.h"
#include "src/base/error.h"

namespace windlass {
namespace {

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 9 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

struct ExpertName {
  std::string stacked;  // "blk.3.ffn_up_exps.weight"
  std::size_t expert = 0;
};

// Of "blk.3.ffn_up.7.weight"; nothing for other tensors.
std::optional<ExpertName> expert_name(std::string_view name) {
  const std::size_t suffix = name.rfind('.');
  if (suffix == std::string_view::npos || suffix == 0) return std::nullopt;
  const std::size_t number = name.rfind('.', suffix - 1);
  if (number == std::string_view::npos) return std::nullopt;
  const std::string_view expert = name.substr(number + 1, suffix - number - 1);
  if (!is_number(expert)) return std::nullopt;
  return ExpertName{
      std::string(name.substr(0, number)) + "_exps" + std::string(name.substr(suffix)),
      static_cast<std::size_t>(std::stoul(std::string(expert)))};
}

bool has_part(std::string_view name, std::string_view part) {
  return name.starts_with("blk.") && name.substr(0, name.rfind('.')).ends_with(part);
}

class Layout {
 public:
  Layout(const TensorTable& table, const ModelSpec& spec) : table_(table), spec_(spec) {}

  std::vector<GgufTensor> tensors();

 private:
  void add(TensorId id);
  void add_expert(TensorId id, const ExpertName& name);
  void add_latent_heads(TensorId id);
  void order_rows(GgufTensor& tensor) const;
  void finish_experts(GgufTensor& tensor) const;

  const TensorTable& table_;
  const ModelSpec& spec_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, std::size_t> stacked_;  // their places in tensors_
};

GgufTensor as_stored(const TensorTable& table, TensorId id) {
  const TensorInfo& info = table.at(id);
  GgufTensor tensor{info.name, info.shape, {id}};
  tensor.rows = info.n_rows();
  tensor.width = info.n_cols();
  if (tensor.shape.empty()) tensor.shape = {1};
  return tensor;
}

void Layout::order_rows(GgufTensor& tensor) const {
  const Conventions& conventions = table_.conventions;
  const bool of_heads = has_part(tensor.name, ".attn_q") || has_part(tensor.name, ".attn_k");
  if (of_heads && conventions.rope_halves && spec_.arch->rope_neighbours) {
    tensor.order = RowOrder::kRopeHalves;
  } else if (has_part(tensor.name, ".attn_qkv") && conventions.qkv_by_group) {
    tensor.order = RowOrder::kQkvByGroup;
  } else {
    return;
  }
  tensor.head_dim = spec_.head_dim;
  tensor.turned_dims = spec_.rope.dims;
  tensor.kv_heads = spec_.n_kv_heads;
  tensor.queries_per_kv_head = spec_.n_heads / spec_.n_kv_heads;
  if (tensor.shape.size() == 1) std::swap(tensor.rows, tensor.width);
}

void Layout::add(TensorId id) {
  const TensorInfo& info = table_.at(id);
  if (const auto expert = expert_name(info.name)) return add_expert(id, *expert);
  if (info.name.ends_with(".attn_kv_b.weight")) return add_latent_heads(id);
  GgufTensor tensor = as_stored(table_, id);
  if (info.transposed) {
    tensor.transposed = true;
    std::swap(tensor.shape[0], tensor.shape[1]);
    std::swap(tensor.rows, tensor.width);
    tensor.stored_head_rows = tensor.width;
  }
  if (tensor.name.ends_with("_norm.weight")) tensor.offset = table_.conventions.norm_offset;
  order_rows(tensor);
  tensors_.push_back(std::move(tensor));
}

void Layout::add_expert(TensorId id, const ExpertName& name) {
  const auto [found, is_new] = stacked_.try_emplace(name.stacked, tensors_.size());
  if (is_new) {
    tensors_.push_back(as_stored(table_, id));
    tensors_.back().name = name.stacked;
    tensors_.back().sources.clear();
  }
  std::vector<TensorId>& sources = tensors_[found->second].sources;
  sources.resize(std::max(sources.size(), name.expert + 1), kNoTensor);
  sources[name.expert] = id;
}

// What unfolds the latent of DeepSeek's attention: for each head the rows of its key, then those of
// its value. GGUF has the keys' part transposed, so that it can be applied to queries.
void Layout::add_latent_heads(TensorId id) {
  const std::string& name = table_.at(id).name;
  const std::string prefix = name.substr(0, name.rfind("attn_kv_b"));
  GgufTensor key = as_stored(table_, id);
  key.heads = spec_.n_heads;
  key.stored_head_rows = key.rows / key.heads;
  const std::int64_t rank = key.width;
  const std::int64_t value_dim = table_.require_int(
      spec_.architecture + ".attention.value_length_mla", 1, key.stored_head_rows - 1);
  GgufTensor value = key;
  value.name = prefix + "attn_v_b.weight";
  value.order = RowOrder::kPartOfHeads;
  value.skipped_head_rows = key.stored_head_rows - value_dim;
  value.rows = key.heads * value_dim;
  value.shape = {key.heads, value_dim, rank};
  key.name = prefix + "attn_k_b.weight";
  key.transposed = true;
  key.rows = key.heads * rank;
  key.width = value.skipped_head_rows;
  key.shape = {key.heads, rank, key.width};
  tensors_.push_back(std::move(key));
  tensors_.push_back(std::move(value));
}

void Layout::finish_experts(GgufTensor& tensor) const {
  const TensorInfo& first = table_.at(tensor.sources.front());
  for (const TensorId id : tensor.sources) {
    WINDLASS_CHECK(id != kNoTensor, tensor.name);  // the spec has found all experts
    if (table_.at(id).type == first.type) continue;
    fail(ErrorCode::kUnsupported,
         "{}: tensor '{}' has the type {}, another expert's {}; experts of one type are supported",
         table_.path(), table_.at(id).stored_name, dtype_info(table_.at(id).type).name,
         dtype_info(first.type).name);
  }
  tensor.rows *= std::ssize(tensor.sources);
  tensor.shape.insert(tensor.shape.begin(), std::ssize(tensor.sources));
}

std::vector<GgufTensor> Layout::tensors() {
  for (const auto& [name, values] : table_.vectors) {
    GgufTensor tensor{name, {std::ssize(values)}, {}, values};
    tensor.width = std::ssize(values);
    tensors_.push_back(std::move(tensor));
  }
  for (std::size_t i = 0; i < table_.tensors.size(); ++i) {
    add(static_cast<TensorId>(static_cast<std::int32_t>(i)));
  }
  for (const auto& [name, place] : stacked_) finish_experts(tensors_[place]);
  return std::move(tensors_);
}

// Pair j of a head lies in rows j and j + turned/2; in GGUF in 2j and 2j + 1.
std::int64_t row_of_halves(const GgufTensor& tensor, std::int64_t row) {
  const std::int64_t in_head = row % tensor.head_dim;
  if (in_head >= tensor.turned_dims) return row;
  return row - in_head + in_head / 2 + in_head % 2 * (tensor.turned_dims / 2);
}

std::int64_t row_by_group(const GgufTensor& tensor, std::int64_t row) {
  const std::int64_t queries = tensor.queries_per_kv_head, group = queries + 2;  // heads
  const std::int64_t head = row / tensor.head_dim, in_head = row % tensor.head_dim;
  const std::int64_t n_queries = tensor.kv_heads * queries;
  std::int64_t stored = 0;
  if (head < n_queries) {
    stored = head / queries * group + head % queries;
  } else {
    const std::int64_t kv_head = (head - n_queries) % tensor.kv_heads;
    const bool is_value = head - n_queries >= tensor.kv_heads;
    stored = kv_head * group + queries + (is_value ? 1 : 0);
  }
  return stored * tensor.head_dim + in_head;
}

}  // namespace

std::int64_t GgufTensor::stored_row(std::int64_t row) const {
  switch (order) {
    case RowOrder::kRopeHalves:
      return row_of_halves(*this, row);
    case RowOrder::kQkvByGroup:
      return row_by_group(*this, row);
    case RowOrder::kPartOfHeads:
      return row / head_rows() * stored_head_rows + skipped_head_rows + row % head_rows();
    case RowOrder::kSame:
      break;
  }
  return row;
}

std::vector<GgufTensor> gguf_layout(const TensorTable& table, const ModelSpec& spec) {
  return Layout(table, spec).tensors();
}

std::vector<GgufTensor> gguf_layout(const TensorTable& table) {
  if (!table.folder.empty()) return gguf_layout(table, read_model_spec(table));
  std::vector<GgufTensor> tensors;
  for (std::size_t i = 0; i < table.tensors.size(); ++i) {
    tensors.push_back(as_stored(table, static_cast<TensorId>(static_cast<std::int32_t>(i))));
  }
  return tensors;
}

}  // namespace windlass

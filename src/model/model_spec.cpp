#include "src/model/model_spec.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "src/base/error.h"
#include "src/base/nearest.h"
#include "src/format/printable.h"
#include "src/model/expert_spec.h"
#include "src/model/metadata.h"
#include "src/ops/kv_type.h"
#include "src/model/rope_spec.h"
#include "src/model/weight_map.h"

namespace windlass {
namespace {


const Architecture& architecture_of(const TensorTable& table) {
  const std::string* name = table.find_string("general.architecture");
  if (name == nullptr) {
    fail(ErrorCode::kBadFile, "{}: metadata key 'general.architecture' is missing", table.path());
  }
  if (const Architecture* known = find_architecture(*name)) return *known;
  std::vector<std::string> names;
  std::string list;
  for (const Architecture& known : architectures()) {
    names.emplace_back(known.name);
    list += (list.empty() ? "" : ", ") + names.back();
  }
  fail(ErrorCode::kUnsupported,
       "{}: architecture '{}' is not supported; supported: {}; the nearest is {}", table.path(),
       printable(*name), list, nearest_name(*name, names));
}

class SpecReader {
 public:
  explicit SpecReader(const TensorTable& table)
      : table_(table), arch_(architecture_of(table)), metadata_(table, arch_.name) {}

  ModelSpec read();

 private:
  void read_sizes();
  void read_epsilon();
  void read_heads();
  void read_own_heads();
  void read_latent();
  void read_window();
  void read_scales();
  void read_vocabulary_size();

  const TensorTable& table_;
  const Architecture& arch_;
  const Metadata metadata_;
  ModelSpec spec_;
};

void SpecReader::read_sizes() {
  spec_.n_layers = metadata_.require_int("block_count", kMaxLayers);
  spec_.d_model = metadata_.require_int("embedding_length", kMaxWidth);
  spec_.d_ffn = metadata_.require_int("feed_forward_length", kMaxWidth);
  spec_.context_length = metadata_.require_int("context_length", kMaxPosition);
}

void SpecReader::read_epsilon() {
  const std::string suffix = arch_.norm == NormKind::kRms ? "attention.layer_norm_rms_epsilon"
                                                          : "attention.layer_norm_epsilon";
  const std::string key = metadata_.key(suffix);
  const std::optional<double> epsilon = table_.find_float(key);
  if (!epsilon) fail(ErrorCode::kBadFile, "{}: metadata key '{}' is missing", table_.path(), key);
  if (!(*epsilon > 0 && *epsilon < 1)) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}, not between 0 and 1", table_.path(), key, *epsilon);
  }
  spec_.norm_epsilon = static_cast<float>(*epsilon);
  spec_.norm_weight_offset = table_.conventions.norm_offset;
}

void SpecReader::read_heads() {
  spec_.n_heads = metadata_.require_int("attention.head_count", kMaxHeads);
  if (arch_.attention == AttentionKind::kLatent) {
    read_latent();
  } else {
    read_own_heads();
  }
  if (std::max(spec_.head_dim, spec_.value_dim) > kMostHeadDim) {
    fail(ErrorCode::kUnsupported, "{}: heads of {} elements; at most {} are supported",
         table_.path(), std::max(spec_.head_dim, spec_.value_dim), kMostHeadDim);
  }
}

void SpecReader::read_own_heads() {
  spec_.n_kv_heads = metadata_.int_or("attention.head_count_kv", 1, kMaxHeads, spec_.n_heads);
  if (spec_.n_heads % spec_.n_kv_heads != 0) {
    fail(ErrorCode::kBadFile, "{}: {} query heads do not divide into groups over {} KV heads",
         table_.path(), spec_.n_heads, spec_.n_kv_heads);
  }
  const std::string key_length = "attention.key_length";
  if (!metadata_.has(key_length) && spec_.d_model % spec_.n_heads != 0) {
    fail(ErrorCode::kBadFile,
         "{}: a width of {} does not divide into {} heads, and '{}' is missing", table_.path(),
         spec_.d_model, spec_.n_heads, metadata_.key(key_length));
  }
  spec_.head_dim = metadata_.int_or(key_length, 1, kMaxHeads, spec_.d_model / spec_.n_heads);
  spec_.value_dim = metadata_.int_or("attention.value_length", 1, kMaxHeads, spec_.head_dim);
}

// Files of before 2025 state the sizes of a head as those of keys and values; later ones have them
// under *_mla, and there the sizes of what is cached.
void SpecReader::read_latent() {
  LatentSpec latent;
  latent.kv_rank = metadata_.require_int("attention.kv_lora_rank", kMaxHeads);
  latent.q_rank = metadata_.int_or("attention.q_lora_rank", 0, kMaxWidth, 0);
  latent.rotated_dim = metadata_.require_int("rope.dimension_count", kMaxHeads);
  const std::string form = metadata_.has("attention.key_length_mla") ? "_mla" : "";
  const std::string key_length = "attention.key_length" + form;
  const std::int64_t query_dim = metadata_.require_int(key_length, kMaxHeads);
  latent.value_dim = metadata_.require_int("attention.value_length" + form, kMaxHeads);
  latent.plain_dim = query_dim - latent.rotated_dim;
  if (latent.plain_dim < 1) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}, of which RoPE turns {}: nothing is left",
         table_.path(), metadata_.key(key_length), query_dim, latent.rotated_dim);
  }
  spec_.latent = latent;
  spec_.n_kv_heads = 1;
  spec_.head_dim = latent.kv_rank + latent.rotated_dim;
  spec_.value_dim = latent.kv_rank;
}

void SpecReader::read_window() {
  const std::string suffix = "attention.sliding_window";
  const std::int64_t window = metadata_.int_or(suffix, 0, kMaxPosition, arch_.default_window);
  if (window == 0 || window >= spec_.context_length) return;  // it hides no key
  if (arch_.window == WindowKind::kNone) {
    fail(ErrorCode::kUnsupported,
         "{}: sliding-window attention ('{}' = {}) is not supported for {}", table_.path(),
         metadata_.key(suffix), window, arch_.name);
  }
  spec_.window_tokens = window;
  spec_.window_period =
      metadata_.int_or("attention.sliding_window_pattern", 1, kMaxLayers, arch_.window_period);
}

void SpecReader::read_scales() {
  const auto cap = [&](const char* suffix, double otherwise) {
    const double value = metadata_.float_or(suffix, otherwise);
    if (value < 0) {
      fail(ErrorCode::kBadFile, "{}: '{}' is {}", table_.path(), metadata_.key(suffix), value);
    }
    return static_cast<float>(value);
  };
  spec_.attention_soft_cap = cap("attn_logit_softcapping", arch_.default_attention_soft_cap);
  spec_.logit_soft_cap = cap("final_logit_softcapping", arch_.default_logit_soft_cap);
  const bool wide = spec_.n_layers == arch_.layers_of_wide_queries;
  const std::int64_t head_dim = spec_.latent ? spec_.latent->query_dim() : spec_.head_dim;
  const auto query_dim = static_cast<double>(wide ? spec_.d_model / spec_.n_heads : head_dim);
  spec_.attention_scale =
      static_cast<float>(metadata_.positive_or("attention.scale", 1.0 / std::sqrt(query_dim)));
  if (arch_.scaled_embedding) {
    spec_.embedding_scale = std::sqrt(static_cast<float>(spec_.d_model));
  }
}

void SpecReader::read_vocabulary_size() {
  const TensorId embedding = table_.find("token_embd.weight");
  if (embedding == kNoTensor) {
    fail(ErrorCode::kBadFile, "{}: tensor '{}' is missing", table_.path(),
         table_.shown_name("token_embd.weight"));
  }
  spec_.n_vocab = table_.at(embedding).n_rows();
  if (spec_.n_vocab < 1 || spec_.n_vocab > kMaxPosition) {
    fail(ErrorCode::kBadFile, "{}: '{}' has {} rows", table_.path(),
         table_.shown_name("token_embd.weight"), spec_.n_vocab);
  }
}

ModelSpec SpecReader::read() {
  if (table_.tensors.empty()) {
    fail(ErrorCode::kUnsupported,
         "{}: holds no tensors (a vocabulary-only file): it can tokenize, but there is no model to "
         "run",
         table_.path());
  }
  spec_.arch = &arch_;
  spec_.architecture = arch_.name;
  if (const std::string* name = table_.find_string("general.name")) spec_.name = *name;
  read_sizes();
  read_epsilon();
  read_heads();
  read_window();
  read_scales();
  read_rope(table_, metadata_, spec_);
  read_experts(table_, metadata_, spec_);
  read_vocabulary_size();
  map_weights(spec_, table_);
  return std::move(spec_);
}

}  // namespace

ModelSpec read_model_spec(const TensorTable& table) { return SpecReader(table).read(); }

}  // namespace windlass

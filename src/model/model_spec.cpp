#include "src/model/model_spec.h"

#include <fmt/ranges.h>

#include <cmath>
#include <limits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "src/base/error.h"
#include "src/format/printable.h"
#include "src/ops/weight_types.h"

namespace windlass {
namespace {

// Bounds far above any model, so low that products of two of them cannot overflow.
constexpr std::int64_t kMaxLayers = 1 << 14;
constexpr std::int64_t kMaxWidth = 1 << 24;
constexpr std::int64_t kMaxHeads = 1 << 16;
constexpr std::int64_t kMaxPosition = std::numeric_limits<std::int32_t>::max();

// Reads one model's metadata and tensors, and remembers which tensors the model has a place for.
class SpecReader {
 public:
  explicit SpecReader(const TensorTable& table)
      : table_(table), path_(table.files.empty() ? "model" : table.files.front().path) {}

  ModelSpec read();

 private:
  std::string key(const char* suffix) const { return spec_.architecture + "." + suffix; }
  std::int64_t require_one_int(const char* suffix, std::int64_t max) const;
  std::int64_t int_or(const char* suffix, std::int64_t max, std::int64_t otherwise) const;
  double float_or(const std::string& suffix, double otherwise) const;
  void refuse_array(const char* suffix) const;

  void read_architecture();
  void read_sizes();
  void read_heads();
  void refuse_variants() const;
  void read_rope();
  void read_rope_scaling();
  void read_yarn();
  void check_tensors();
  // Null when absent.
  const TensorInfo* claim(const std::string& name, const std::vector<std::int64_t>& shape);
  void require_matrix(const std::string& name, std::int64_t n_out, std::int64_t n_in);
  void check_matrix_type(const TensorInfo& tensor) const;
  void require_vector(const std::string& name, std::int64_t width);
  void check_vector_type(const TensorInfo& tensor) const;
  void refuse_unclaimed() const;

  const TensorTable& table_;
  const std::string path_;
  ModelSpec spec_;
  std::unordered_set<std::string> claimed_;
};

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

void SpecReader::refuse_array(const char* suffix) const {
  if (!table_.arrays.contains(key(suffix))) return;
  fail(ErrorCode::kUnsupported,
       "{}: '{}' is an array (a value for each layer); only one value for all "
       "layers is supported",
       path_, key(suffix));
}

std::int64_t SpecReader::require_one_int(const char* suffix, std::int64_t max) const {
  refuse_array(suffix);
  return table_.require_int(key(suffix), 1, max);
}

std::int64_t SpecReader::int_or(const char* suffix, std::int64_t max,
                                std::int64_t otherwise) const {
  refuse_array(suffix);
  return table_.find_int(key(suffix), 1, max).value_or(otherwise);
}

double SpecReader::float_or(const std::string& suffix, double otherwise) const {
  const double value = table_.find_float(key(suffix.c_str())).value_or(otherwise);
  if (!std::isfinite(value)) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}", path_, key(suffix.c_str()), value);
  }
  return value;
}

void SpecReader::read_architecture() {
  const std::string* architecture = table_.find_string("general.architecture");
  if (architecture == nullptr) {
    fail(ErrorCode::kBadFile, "{}: metadata key 'general.architecture' is missing", path_);
  }
  if (*architecture != "llama") {
    fail(ErrorCode::kUnsupported, "{}: architecture '{}' is not supported; supported: llama", path_,
         printable(*architecture));
  }
  if (table_.tensors.empty()) {
    fail(ErrorCode::kUnsupported,
         "{}: holds no tensors (a vocabulary-only file): it can tokenize, but there is no model to "
         "run",
         path_);
  }
  spec_.architecture = *architecture;
  if (const std::string* name = table_.find_string("general.name")) spec_.name = *name;
}

void SpecReader::read_sizes() {
  spec_.n_layers = require_one_int("block_count", kMaxLayers);
  spec_.d_model = require_one_int("embedding_length", kMaxWidth);
  spec_.d_ffn = require_one_int("feed_forward_length", kMaxWidth);
  spec_.context_length = require_one_int("context_length", kMaxPosition);
  const std::string epsilon_key = key("attention.layer_norm_rms_epsilon");
  const std::optional<double> epsilon = table_.find_float(epsilon_key);
  if (!epsilon) fail(ErrorCode::kBadFile, "{}: metadata key '{}' is missing", path_, epsilon_key);
  if (!(*epsilon > 0 && *epsilon < 1)) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}, not between 0 and 1", path_, epsilon_key, *epsilon);
  }
  spec_.norm_epsilon = static_cast<float>(*epsilon);
}

void SpecReader::read_heads() {
  spec_.n_heads = require_one_int("attention.head_count", kMaxHeads);
  spec_.n_kv_heads = int_or("attention.head_count_kv", kMaxHeads, spec_.n_heads);
  if (spec_.n_heads % spec_.n_kv_heads != 0) {
    fail(ErrorCode::kBadFile, "{}: {} query heads do not divide into groups over {} KV heads",
         path_, spec_.n_heads, spec_.n_kv_heads);
  }
  spec_.head_dim = int_or("attention.key_length", kMaxHeads, spec_.d_model / spec_.n_heads);
  if (spec_.head_dim < 1 || (!table_.find_int(key("attention.key_length"), 1, kMaxHeads) &&
                             spec_.d_model % spec_.n_heads != 0)) {
    fail(ErrorCode::kBadFile,
         "{}: a width of {} does not divide into {} heads, and '{}' is missing", path_,
         spec_.d_model, spec_.n_heads, key("attention.key_length"));
  }
  const std::int64_t value_dim = int_or("attention.value_length", kMaxHeads, spec_.head_dim);
  if (value_dim != spec_.head_dim) {
    fail(ErrorCode::kUnsupported,
         "{}: keys of {} and values of {} elements a head; only equal sizes "
         "are supported",
         path_, spec_.head_dim, value_dim);
  }
}

// Files of this architecture name may hold models that need more than the llama graph does.
void SpecReader::refuse_variants() const {
  const std::int64_t experts = table_.find_int(key("expert_count"), 0, kMaxPosition).value_or(0);
  if (experts > 0) {
    fail(ErrorCode::kUnsupported,
         "{}: a mixture of {} experts ('{}'); only dense llama models are "
         "supported",
         path_, experts, key("expert_count"));
  }
  const std::string window_key = key("attention.sliding_window");
  const std::int64_t window = table_.find_int(window_key, 0, kMaxPosition).value_or(0);
  if (window > 0 && window < spec_.context_length) {
    fail(ErrorCode::kUnsupported, "{}: sliding-window attention ('{}' = {}) is not supported",
         path_, window_key, window);
  }
}

void SpecReader::read_rope() {
  RopeSpec& rope = spec_.rope;
  rope.dims = int_or("rope.dimension_count", kMaxHeads, spec_.head_dim);
  if (rope.dims % 2 != 0 || rope.dims > spec_.head_dim) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}, not an even number up to the head's {}", path_,
         key("rope.dimension_count"), rope.dims, spec_.head_dim);
  }
  rope.base = float_or("rope.freq_base", rope.base);
  if (!(rope.base > 0)) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}", path_, key("rope.freq_base"), rope.base);
  }
  read_rope_scaling();
  if (const TensorInfo* factors = claim("rope_freqs.weight", {rope.dims / 2})) {
    check_vector_type(*factors);
    rope.frequency_factors = table_.find("rope_freqs.weight");
  }
}

void SpecReader::read_rope_scaling() {
  RopeSpec& rope = spec_.rope;
  rope.original_context =
      int_or("rope.scaling.original_context_length", kMaxPosition, spec_.context_length);
  // Files older than rope.scaling.* hold the linear factor alone.
  const double old_factor = float_or("rope.scale_linear", 1.0);
  const std::string* type = table_.find_string(key("rope.scaling.type"));
  if (type == nullptr ? old_factor != 1.0 : *type == "linear") {
    rope.scaling = RopeScaling::kLinear;
  } else if (type != nullptr && *type == "yarn") {
    rope.scaling = RopeScaling::kYarn;
  } else if (type != nullptr && *type != "none") {
    fail(ErrorCode::kUnsupported,
         "{}: RoPE scaling '{}' is not supported; supported: none, linear, yarn", path_,
         printable(*type));
  }
  if (rope.scaling == RopeScaling::kNone) return;
  rope.factor = float_or("rope.scaling.factor", old_factor);
  if (!(rope.factor > 0)) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}", path_, key("rope.scaling.factor"), rope.factor);
  }
  if (rope.scaling == RopeScaling::kYarn) read_yarn();
}

void SpecReader::read_yarn() {
  RopeSpec& rope = spec_.rope;
  const std::string prefix = "rope.scaling.";
  rope.beta_fast = float_or(prefix + "yarn_beta_fast", rope.beta_fast);
  rope.beta_slow = float_or(prefix + "yarn_beta_slow", rope.beta_slow);
  rope.extrapolation_factor = float_or(prefix + "yarn_ext_factor", rope.extrapolation_factor);
  rope.attention_factor =
      float_or(prefix + "attn_factor", 1.0) * float_or(prefix + "yarn_attn_factor", 1.0);
  if (float_or(prefix + "yarn_log_multiplier", 0.0) != 0.0) {
    fail(ErrorCode::kUnsupported, "{}: '{}' is not supported", path_,
         key("rope.scaling.yarn_log_multiplier"));
  }
}

const TensorInfo* SpecReader::claim(const std::string& name,
                                    const std::vector<std::int64_t>& shape) {
  const TensorId id = table_.find(name);
  if (id == kNoTensor) return nullptr;
  const TensorInfo& tensor = table_.at(id);
  if (tensor.shape != shape) {
    fail(ErrorCode::kBadFile, "{}: tensor '{}' has the shape {}, but the metadata give {}", path_,
         name, shape_text(tensor.shape), shape_text(shape));
  }
  claimed_.insert(name);
  return &tensor;
}

void SpecReader::check_matrix_type(const TensorInfo& tensor) const {
  if (find_weight_type(tensor.type) != nullptr) return;
  std::vector<std::string_view> names;
  for (const WeightType& row : kWeightTypes) names.push_back(dtype_info(row.type).name);
  fail(ErrorCode::kUnsupported, "{}: tensor '{}' has the type {}; supported: {}", path_,
       tensor.name, dtype_info(tensor.type).name, fmt::join(names, ", "));
}

void SpecReader::check_vector_type(const TensorInfo& tensor) const {
  if (tensor.type == DType::kF32) return;
  fail(ErrorCode::kUnsupported, "{}: tensor '{}' has the type {}; supported for it: F32", path_,
       tensor.name, dtype_info(tensor.type).name);
}

void SpecReader::require_matrix(const std::string& name, std::int64_t n_out, std::int64_t n_in) {
  const TensorInfo* tensor = claim(name, {n_out, n_in});
  if (tensor == nullptr) fail(ErrorCode::kBadFile, "{}: tensor '{}' is missing", path_, name);
  check_matrix_type(*tensor);
}

void SpecReader::require_vector(const std::string& name, std::int64_t width) {
  const TensorInfo* tensor = claim(name, {width});
  if (tensor == nullptr) fail(ErrorCode::kBadFile, "{}: tensor '{}' is missing", path_, name);
  check_vector_type(*tensor);
}

void SpecReader::check_tensors() {
  const TensorId embedding = table_.find("token_embd.weight");
  if (embedding == kNoTensor) {
    fail(ErrorCode::kBadFile, "{}: tensor 'token_embd.weight' is missing", path_);
  }
  spec_.n_vocab = table_.at(embedding).n_rows();
  if (spec_.n_vocab > kMaxPosition) {
    fail(ErrorCode::kBadFile, "{}: 'token_embd.weight' has {} rows", path_, spec_.n_vocab);
  }
  require_matrix("token_embd.weight", spec_.n_vocab, spec_.d_model);
  for (std::int64_t layer = 0; layer < spec_.n_layers; ++layer) {
    const std::string prefix = fmt::format("blk.{}.", layer);
    require_vector(prefix + "attn_norm.weight", spec_.d_model);
    require_matrix(prefix + "attn_q.weight", spec_.q_dim(), spec_.d_model);
    require_matrix(prefix + "attn_k.weight", spec_.kv_dim(), spec_.d_model);
    require_matrix(prefix + "attn_v.weight", spec_.kv_dim(), spec_.d_model);
    require_matrix(prefix + "attn_output.weight", spec_.d_model, spec_.q_dim());
    require_vector(prefix + "ffn_norm.weight", spec_.d_model);
    require_matrix(prefix + "ffn_gate.weight", spec_.d_ffn, spec_.d_model);
    require_matrix(prefix + "ffn_up.weight", spec_.d_ffn, spec_.d_model);
    require_matrix(prefix + "ffn_down.weight", spec_.d_model, spec_.d_ffn);
  }
  require_vector("output_norm.weight", spec_.d_model);
  if (const TensorInfo* output = claim("output.weight", {spec_.n_vocab, spec_.d_model})) {
    check_matrix_type(*output);
  }
}

// A tensor without a place (a bias, a query norm, an adapter) would be left out of the sums in
// silence.
void SpecReader::refuse_unclaimed() const {
  for (const TensorInfo& tensor : table_.tensors) {
    if (claimed_.contains(tensor.name)) continue;
    fail(ErrorCode::kUnsupported,
         "{}: tensor '{}' has no place in a llama model of {} layers{}; such files are not "
         "supported",
         path_, printable(tensor.name), spec_.n_layers,
         tensor.name.ends_with(".bias") ? " (biases are not part of it)" : "");
  }
}

ModelSpec SpecReader::read() {
  read_architecture();
  read_sizes();
  refuse_variants();
  read_heads();
  read_rope();
  check_tensors();
  refuse_unclaimed();
  return std::move(spec_);
}

}  // namespace

ModelSpec read_model_spec(const TensorTable& table) { return SpecReader(table).read(); }

}  // namespace windlass

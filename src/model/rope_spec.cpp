#include "src/model/rope_spec.h"

#include <cmath>

#include "src/base/error.h"
#include "src/base/nearest.h"
#include "src/format/printable.h"

namespace windlass {
namespace {

RopeFactors find_factors(const TensorTable& table, const char* name, std::int64_t pairs) {
  RopeFactors factors;
  factors.tensor = table.find(name);
  const auto stated = table.vectors.find(name);
  if (factors.tensor != kNoTensor || stated == table.vectors.end()) return factors;
  if (static_cast<std::int64_t>(stated->second.size()) != pairs) {
    fail(ErrorCode::kBadFile, "{}: {} RoPE factors for the {} pairs of a head ('{}')", table.path(),
         stated->second.size(), pairs, name);
  }
  factors.values = stated->second;
  return factors;
}

// DeepSeek gives its YaRN a temperature of its own: 1 + m ln(s) instead of 1 + 0.1 ln(s), and of
// whole queries and keys instead of their rotated parts, so that it belongs to the scores.
void move_temperature(double multiplier, RopeSpec& rope, ModelSpec& spec) {
  const double growth = std::log(rope.factor);
  const double temperature = rope.attention_factor * (1.0 + multiplier * growth);
  spec.attention_scale *= static_cast<float>(temperature * temperature);
  rope.attention_factor = 1.0 / (1.0 + 0.1 * growth);  // takes YaRN's own away
}

void read_yarn(const Metadata& metadata, RopeSpec& rope, ModelSpec& spec) {
  const std::string prefix = "rope.scaling.";
  rope.beta_fast = metadata.float_or(prefix + "yarn_beta_fast", rope.beta_fast);
  rope.beta_slow = metadata.float_or(prefix + "yarn_beta_slow", rope.beta_slow);
  rope.extrapolation_factor =
      metadata.float_or(prefix + "yarn_ext_factor", rope.extrapolation_factor);
  rope.attention_factor = metadata.float_or(prefix + "attn_factor", 1.0) *
                          metadata.float_or(prefix + "yarn_attn_factor", 1.0);
  const double multiplier = metadata.float_or(prefix + "yarn_log_multiplier", 0.0);
  if (multiplier != 0.0) move_temperature(multiplier, rope, spec);
}

// LongRoPE scales cosines and sines, in both regimes, by sqrt(1 + ln(s) / ln(original context)),
// where s is by how much the context grew.
void read_long_rope(const TensorTable& table, const Metadata& metadata, std::int64_t context_length,
                    RopeSpec& rope) {
  rope.scaling = RopeScaling::kLongRope;
  rope.factors = find_factors(table, "rope_factors_short.weight", rope.dims / 2);
  if (rope.factors.empty() || rope.long_factors.empty()) {
    fail(ErrorCode::kBadFile, "{}: tensor 'rope_factors_{}.weight' is missing", table.path(),
         rope.factors.empty() ? "short" : "long");
  }
  const double original = static_cast<double>(rope.original_context);
  const double growth = static_cast<double>(context_length) / original;
  const double grown =
      growth > 1 && original > 1 ? std::sqrt(1 + std::log(growth) / std::log(original)) : 1.0;
  rope.attention_factor = metadata.positive_or("rope.scaling.attn_factor", grown);
}

RopeScaling scaling_named(const TensorTable& table, const std::string& name) {
  if (name == "none") return RopeScaling::kNone;
  if (name == "linear") return RopeScaling::kLinear;
  if (name == "yarn") return RopeScaling::kYarn;
  if (name == "longrope") return RopeScaling::kLongRope;
  fail(ErrorCode::kUnsupported,
       "{}: RoPE scaling '{}' is not supported; supported: none, linear, yarn, longrope; the "
       "nearest is {}",
       table.path(), printable(name), nearest_name(name, {"none", "linear", "yarn", "longrope"}));
}

void read_scaling(const TensorTable& table, const Metadata& metadata, RopeSpec& rope,
                  ModelSpec& spec) {
  const std::int64_t context_length = spec.context_length;
  rope.original_context =
      metadata.int_or("rope.scaling.original_context_length", 1, kMaxPosition, context_length);
  // Files older than rope.scaling.* hold the linear factor alone.
  const double old_factor = metadata.float_or("rope.scale_linear", 1.0);
  const std::string* type = metadata.text("rope.scaling.type");
  if (type != nullptr) {
    rope.scaling = scaling_named(table, *type);
  } else if (old_factor != 1.0) {
    rope.scaling = RopeScaling::kLinear;
  }
  rope.factors = find_factors(table, "rope_freqs.weight", rope.dims / 2);
  rope.long_factors = find_factors(table, "rope_factors_long.weight", rope.dims / 2);
  // GGUF names no scaling here: the lists say it.
  if (!rope.long_factors.empty() || rope.scaling == RopeScaling::kLongRope) {
    return read_long_rope(table, metadata, context_length, rope);
  }
  if (rope.scaling == RopeScaling::kNone) return;
  rope.factor = metadata.positive_or("rope.scaling.factor", old_factor);
  if (rope.scaling == RopeScaling::kYarn) read_yarn(metadata, rope, spec);
}

}  // namespace

void read_rope(const TensorTable& table, const Metadata& metadata, ModelSpec& spec) {
  if (spec.arch->positions != PositionKind::kRope) return;
  RopeSpec& rope = spec.rope;
  rope.dims = metadata.int_or("rope.dimension_count", 1, kMaxHeads, spec.head_dim);
  if (rope.dims % 2 != 0 || rope.dims > spec.head_dim) {
    fail(ErrorCode::kBadFile, "{}: '{}' is {}, not an even number up to the head's {}",
         table.path(), metadata.key("rope.dimension_count"), rope.dims, spec.head_dim);
  }
  rope.interleaved = spec.arch->rope_neighbours && !table.conventions.rope_halves;
  rope.base = metadata.positive_or("rope.freq_base", rope.base);
  if (spec.arch->window_rope_base > 0) {
    spec.window_rope = rope;
    spec.window_rope->base =
        metadata.positive_or("rope.freq_base_swa", spec.arch->window_rope_base);
  }
  read_scaling(table, metadata, rope, spec);
}

}  // namespace windlass

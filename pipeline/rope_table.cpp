#include "pipeline/rope_table.h"

#include <algorithm>
#include <cmath>

#include "src/base/check.h"

namespace windlass {
namespace {

constexpr double kTwoPi = 6.283185307179586;

// YaRN section 3.2: the (fractional) pair that turns `rotations` times over the original context.
double pair_of_rotations(const RopeSpec& spec, double rotations) {
  return static_cast<double>(spec.dims) *
         std::log(static_cast<double>(spec.original_context) / (rotations * kTwoPi)) /
         (2.0 * std::log(spec.base));
}

// 1: extrapolate (keep the frequency), 0: interpolate (divide it by factor). Ramp between beta_fast
// and beta_slow.
double extrapolation_share(const RopeSpec& spec, std::int64_t pair) {
  const double last = static_cast<double>(spec.dims) - 1.0;
  const double low = std::max(0.0, std::floor(pair_of_rotations(spec, spec.beta_fast)));
  const double high = std::min(last, std::ceil(pair_of_rotations(spec, spec.beta_slow)));
  const double ramp = (static_cast<double>(pair) - low) / std::max(0.001, high - low);
  return (1.0 - std::clamp(ramp, 0.0, 1.0)) * spec.extrapolation_factor;
}

}  // namespace

RopeTable::RopeTable(const RopeSpec& spec, std::span<const float> frequency_factors) {
  const std::int64_t n_pairs = spec.dims / 2;
  WINDLASS_CHECK(
      frequency_factors.empty() || static_cast<std::int64_t>(frequency_factors.size()) == n_pairs,
      frequency_factors.size(), n_pairs);
  for (std::int64_t pair = 0; pair < n_pairs; ++pair) {
    const double exponent = 2.0 * static_cast<double>(pair) / static_cast<double>(spec.dims);
    double frequency = 1.0 / std::pow(spec.base, exponent);
    if (!frequency_factors.empty()) {
      frequency /= static_cast<double>(frequency_factors[static_cast<std::size_t>(pair)]);
    }
    if (spec.scaling == RopeScaling::kLinear) frequency /= spec.factor;
    if (spec.scaling == RopeScaling::kYarn) {
      const double keep = extrapolation_share(spec, pair);
      frequency = frequency / spec.factor * (1.0 - keep) + frequency * keep;
    }
    frequencies_.push_back(static_cast<float>(frequency));
  }
  if (spec.scaling == RopeScaling::kYarn) {
    // YaRN section 3.4: attention temperature 0.1 ln(s) + 1, applied to Q and K alike.
    magnitude_ = static_cast<float>(spec.attention_factor * (0.1 * std::log(spec.factor) + 1.0));
  }
  if (spec.scaling == RopeScaling::kLongRope) {
    magnitude_ = static_cast<float>(spec.attention_factor);
  }
}

void RopeTable::fill(std::int64_t position, float* cos, float* sin) const {
  for (std::size_t pair = 0; pair < frequencies_.size(); ++pair) {
    // The product in float, as the reference implementations have it; its sine in double costs
    // nothing here.
    const float angle = static_cast<float>(position) * frequencies_[pair];
    cos[pair] = static_cast<float>(std::cos(static_cast<double>(angle))) * magnitude_;
    sin[pair] = static_cast<float>(std::sin(static_cast<double>(angle))) * magnitude_;
  }
}

}  // namespace windlass

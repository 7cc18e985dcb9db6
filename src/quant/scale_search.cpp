#include "src/quant/scale_search.h"

#include <algorithm>
#include <cmath>

#include "src/base/half.h"

namespace windlass::quant {
namespace {

constexpr int kLanes = 8;  // sums side by side: the compiler may not reorder one sum itself
constexpr int kImproveRounds = 4;
constexpr float kLargestHalf = 65504.0f;

// Adding 1.5 * 2^23 leaves no fraction bits: rounds to nearest even. REQUIRES: |value| < 2^22.
float rounded(float value) { return (value + 12582912.0f) - 12582912.0f; }

float clamped(float value, Codes codes) {
  return std::min(std::max(value, static_cast<float>(codes.lo)), static_cast<float>(codes.hi));
}

float total(const float* lanes) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

float inverse(float scale) {
  const float value = scale == 0 ? 0.0f : 1.0f / scale;
  return std::isfinite(value) ? value : 0.0f;
}

// Sums over a group with its nearest codes q on a line.
struct Sums {
  float q = 0, qq = 0, xq = 0;
};

Sums sums_on_line(const float* x, int n, float inverse_scale, float minimum, Codes codes) {
  float q_lanes[kLanes] = {}, qq_lanes[kLanes] = {}, xq_lanes[kLanes] = {};
  for (int i = 0; i < n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float value = x[i + lane];
      const float q = rounded(clamped((value - minimum) * inverse_scale, codes));
      q_lanes[lane] += q;
      qq_lanes[lane] += q * q;
      xq_lanes[lane] += value * q;
    }
  }
  return {total(q_lanes), total(qq_lanes), total(xq_lanes)};
}

// Of one group: what does not depend on the codes.
struct Group {
  const float* x;
  int n;
  float sum = 0, squares = 0, least = 0, most = 0;
};

Group group_of(const float* x, int n) {
  float sum[kLanes] = {}, squares[kLanes] = {};
  Group group = {x, n, 0, 0, x[0], x[0]};
  for (int i = 0; i < n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      sum[lane] += x[i + lane];
      squares[lane] += x[i + lane] * x[i + lane];
    }
  }
  for (int i = 1; i < n; ++i) {
    group.least = std::min(group.least, x[i]);
    group.most = std::max(group.most, x[i]);
  }
  group.sum = total(sum);
  group.squares = total(squares);
  return group;
}

struct Fit {
  Line line;
  float gain = 0;  // squares of the group minus squared error: what the line explains
};

// The least-squares scale for the codes nearest to a line through zero.
Fit fit_scale(const Group& group, float inverse_scale, Codes codes) {
  const Sums sums = sums_on_line(group.x, group.n, inverse_scale, 0, codes);
  if (sums.qq <= 0) return {};
  return {{sums.xq / sums.qq, 0}, sums.xq * (sums.xq / sums.qq)};
}

// The least-squares line for the codes nearest to one.
Fit fit_line(const Group& group, float inverse_scale, float minimum, Codes codes,
             bool never_above_zero) {
  const Sums s = sums_on_line(group.x, group.n, inverse_scale, minimum, codes);
  const auto n = static_cast<float>(group.n);
  const float determinant = n * s.qq - s.q * s.q;
  Line line = {0, group.sum / n};
  if (determinant > 0) {
    line.scale = (n * s.xq - group.sum * s.q) / determinant;
    line.minimum = (group.sum - line.scale * s.q) / n;
  }
  if (never_above_zero && line.minimum > 0) line = {s.qq > 0 ? s.xq / s.qq : 0.0f, 0};
  // squares - |x - line|^2, in the order that loses least.
  const float gain = line.scale * (2 * s.xq - line.scale * s.qq - 2 * line.minimum * s.q) +
                     line.minimum * (2 * group.sum - n * line.minimum);
  return {line, gain};
}

}  // namespace

float search_scale(const float* x, int n, Codes codes) {
  const Group group = group_of(x, n);
  const float extreme = -group.least > group.most ? group.least : group.most;
  if (std::abs(extreme) < 1e-30f) return 0;
  Fit best;
  const auto consider = [&](float inverse_scale) {
    const Fit fit = fit_scale(group, inverse_scale, codes);
    if (fit.gain > best.gain) best = fit;
  };
  // The extreme value falls on the end of the range, or within a quarter of the range past it, and
  // likewise on the other end with the opposite sign. Of many codes fewer steps are worth trying.
  const float width = static_cast<float>(codes.hi - codes.lo + 1) * 0.5f;
  const float step = std::max(0.15f, width / 128.0f);
  const float reach = std::min(0.3f * width, 1.8f);
  for (float past = -0.5f; past <= reach; past += step) {
    consider((static_cast<float>(codes.lo) - past) / extreme);
    consider((static_cast<float>(codes.hi) + past) / extreme);
  }
  for (int round = 0; round < kImproveRounds && best.line.scale != 0; ++round) {
    const float before = best.gain;
    consider(inverse(best.line.scale));
    if (best.gain <= before) break;
  }
  return best.line.scale;
}

Line search_line(const float* x, int n, int most, bool never_above_zero) {
  const Group group = group_of(x, n);
  const float least = never_above_zero ? std::min(group.least, 0.0f) : group.least;
  const float span = group.most - least;
  if (!(span > 1e-30f)) return {0, least};
  const Codes codes = {0, most};
  Fit best = {{0, least}, -1e38f};
  const auto consider = [&](float inverse_scale, float minimum) {
    const Fit fit = fit_line(group, inverse_scale, minimum, codes, never_above_zero);
    if (fit.gain > best.gain && fit.line.scale >= 0) best = fit;
  };
  // The span of the group is cut at one end, at both or at neither, by up to `reach` of it.
  const auto steps = static_cast<float>(most);
  const float reach = most <= 3 ? 0.5f : 1.5f / std::sqrt(steps) * 0.5f;
  constexpr int kCuts = 5;
  for (int low = 0; low < kCuts; ++low) {
    const float cut_low = static_cast<float>(low) * reach / kCuts;
    for (int high = 0; high < kCuts; ++high) {
      const float cut_high = static_cast<float>(high) * reach / kCuts;
      const float kept = span * (1 - cut_low * 0.5f - cut_high * 0.5f);
      consider(steps / kept, least + span * cut_low * 0.5f);
    }
  }
  for (int round = 0; round < kImproveRounds; ++round) {
    const float before = best.gain;
    consider(inverse(best.line.scale), best.line.minimum);
    if (best.gain <= before) break;
  }
  return best.line;
}

float squared_error(const float* x, int n, Line line, Codes codes) {
  float lanes[kLanes] = {};
  const float inverse_scale = inverse(line.scale);
  for (int i = 0; i < n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float value = x[i + lane] - line.minimum;
      const float error = value - line.scale * rounded(clamped(value * inverse_scale, codes));
      lanes[lane] += error * error;
    }
  }
  return total(lanes);
}

void nearest_codes(const float* x, int n, Line line, Codes codes, std::int8_t* out) {
  const float inverse_scale = inverse(line.scale);
  for (int i = 0; i < n; ++i) {
    out[i] =
        static_cast<std::int8_t>(rounded(clamped((x[i] - line.minimum) * inverse_scale, codes)));
  }
}

std::uint16_t half_bits(float value) {
  return f16_from_f32(std::min(std::max(value, -kLargestHalf), kLargestHalf));
}

float rounded_to_half(float value) { return f32_from_f16(half_bits(value)); }

}  // namespace windlass::quant

// IQ4_NL: 32 weights, each one of 16 values that are denser near zero, times a scale. The search is
// that of scale_search.h with nearest values for nearest integers.
#include <algorithm>
#include <cmath>

#include "src/quant/block_encoders.h"
#include "src/quant/scale_search.h"

namespace windlass::quant {
namespace {

constexpr int kWeights = 32;
constexpr float kValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                               1,    13,   25,  38,  53,  69,  89,  113};

// Index of the nearest value: how many midpoints between neighbours lie below.
int nearest_value(float x) {
  int index = 0;
  for (int i = 0; i < 15; ++i) index += x > (kValues[i] + kValues[i + 1]) * 0.5f ? 1 : 0;
  return index;
}

struct Fit {
  float scale = 0, gain = 0;
};

Fit fit(const float* x, float inverse_scale) {
  float xv = 0, vv = 0;
  for (int i = 0; i < kWeights; ++i) {
    const float value = kValues[nearest_value(x[i] * inverse_scale)];
    xv += x[i] * value;
    vv += value * value;
  }
  return {xv / vv, xv * (xv / vv)};
}

float search(const float* x) {
  const float extreme = *std::max_element(
      x, x + kWeights, [](float a, float b) { return std::abs(a) < std::abs(b); });
  if (std::abs(extreme) < 1e-30f) return 0;
  Fit best;
  const auto consider = [&](float inverse_scale) {
    const Fit found = fit(x, inverse_scale);
    if (found.gain > best.gain) best = found;
  };
  // The extreme weight falls near the last value of its side, or beyond it by up to a fifth.
  for (int step = -3; step <= 7; ++step) {
    const float past = 1.0f + 0.03f * static_cast<float>(step);
    consider(kValues[0] * past / extreme);
    consider(kValues[15] * past / extreme);
  }
  for (int round = 0; round < 4; ++round) {
    const float before = best.gain;
    consider(1.0f / best.scale);
    if (best.gain <= before) break;
  }
  return best.scale;
}

}  // namespace

void encode_iq4_nl(const float* x, std::uint8_t* out) {
  const float found = search(x), scale = rounded_to_half(found);
  store_u16(out, half_bits(found));
  const float inverse_scale = scale == 0 ? 0.0f : 1.0f / scale;
  for (int i = 0; i < 16; ++i) {
    out[2 + i] = static_cast<std::uint8_t>(nearest_value(x[i] * inverse_scale) |
                                           nearest_value(x[16 + i] * inverse_scale) << 4);
  }
}

}  // namespace windlass::quant

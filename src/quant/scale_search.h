// The least-squares search for the scale, or scale and minimum, of a small group of weights: what
// all block encoders are made of. Plain single-precision code without fused operations, so that the
// same weights give the same bytes on every machine.
//
// For given codes the best scale is a linear least-squares problem with a closed answer; for a
// given scale the best codes are the nearest ones. The error as a function of the scale has many
// local minima, so a grid of scales around the one that just spans the group is tried, each with
// its best codes and then its best scale, and the winner is improved by alternating the two.
#pragma once

#include <cstdint>

namespace windlass::quant {

// Integer codes lo .. hi.
struct Codes {
  int lo, hi;
};

// x is about scale * code + minimum.
struct Line {
  float scale = 0, minimum = 0;
};

inline constexpr int kMostGroup = 32;  // weights of a group

// The best scale found for x[n] with minimum 0; of either sign, 0 for a group of zeros.
// REQUIRES: n is a multiple of 8 and at most kMostGroup; x is finite.
float search_scale(const float* x, int n, Codes codes);

// The best line found for codes 0 .. most. The scale is not negative; the minimum is not positive
// where `never_above_zero`. Same requirements.
Line search_line(const float* x, int n, int most, bool never_above_zero);

// Squared error of x[n] with the nearest codes on a line.
float squared_error(const float* x, int n, Line line, Codes codes);

// The nearest codes.
void nearest_codes(const float* x, int n, Line line, Codes codes, std::int8_t* out);

// The nearest f16, the largest finite one where it would be infinite.
float rounded_to_half(float value);
std::uint16_t half_bits(float value);

}  // namespace windlass::quant

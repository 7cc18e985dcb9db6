// What several op bodies share: vectors in rows, the exponential and its kin, and the register tile
// of dot products along the lanes. V is a vector layer (simd_*.h). For inclusion by isa_*.cpp
// alone.
#pragma once

#include <cstdint>

#include "src/ops/op_args.h"

namespace windlass {
namespace {

constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
constexpr std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
constexpr std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

// Vector h of row t.
inline float* vector_at(const Vectors& vectors, std::int64_t row, std::int64_t h) {
  return vectors.data + row * vectors.row_stride + h / vectors.per_group * vectors.group_stride +
         h % vectors.per_group * vectors.vector_stride;
}

// e^x = 2^n (1 + r q), with x = n ln2 + r and |r| <= ln2 / 2; ln2 in two parts (Cody and Waite),
// 1 + r q(r) the Taylor polynomial to r^7 / 7! (the next term, (ln2 / 2)^8 / 8!, is 5e-9: a tenth
// of half an ulp). x is taken to the nearer end of [-87.3, 88] (1e-38, 1.7e38), so nothing
// overflows. NaN stays NaN.
template <class V>
struct ExpParts {
  typename V::I n;
  typename V::F r, q;
};

template <class V>
inline ExpParts<V> exp_parts(typename V::F x) {
  using F = typename V::F;
  x = V::max(V::set1(-87.3f),
             V::min(V::set1(88.0f), x));  // the second operand of min and max keeps NaN
  const typename V::I n = V::to_i32(V::mul(x, V::set1(1.44269504f)));
  const F n_float = V::to_f32(n);
  F r = V::fma(n_float, V::set1(-0.693359375f), x);
  r = V::fma(n_float, V::set1(2.12194440e-4f), r);
  F q = V::set1(1.0f / 5040);
  q = V::fma(q, r, V::set1(1.0f / 720));
  q = V::fma(q, r, V::set1(1.0f / 120));
  q = V::fma(q, r, V::set1(1.0f / 24));
  q = V::fma(q, r, V::set1(1.0f / 6));
  q = V::fma(q, r, V::set1(0.5f));
  q = V::fma(q, r, V::set1(1.0f));
  return {n, r, q};
}

// e^x within 2 ulp.
template <class V>
inline typename V::F exp(typename V::F x) {
  const ExpParts<V> e = exp_parts<V>(x);
  return V::scale_by_power_of_two(V::fma(e.q, e.r, V::set1(1.0f)), e.n);
}

// tanh(x) = m / (m + 2) with m = e^2x - 1 = (2^n - 1) + 2^n r q, in which small x lose nothing.
template <class V>
inline typename V::F tanh(typename V::F x) {
  const typename V::F one = V::set1(1.0f);
  const ExpParts<V> e = exp_parts<V>(V::add(x, x));
  const typename V::F power = V::scale_by_power_of_two(one, e.n);
  const typename V::F m = V::fma(power, V::mul(e.r, e.q), V::sub(power, one));
  return V::div(m, V::add(m, V::set1(2.0f)));
}

// cap * tanh(x / cap): x where it is small, never beyond the cap.
template <class V>
inline typename V::F soft_cap(typename V::F x, typename V::F cap) {
  return V::mul(cap, tanh<V>(V::div(x, cap)));
}

// sums[t * 4 + r] = dot(rows + r * row_stride, x + t * x_stride) over n, for 4 rows and T vectors
// x. Rows are padded to whole vectors with finite values; x need not be. One sum per pair along the
// lanes, so the result of a pair depends on n and V alone, whatever T is.
template <class V, int T>
inline void dot_tile(const float* rows, std::int64_t row_stride, const float* x,
                     std::int64_t x_stride, std::int64_t n, float* sums) {
  using F = typename V::F;
  F sum[T][4];
  for (int t = 0; t < T; ++t) {
    for (int r = 0; r < 4; ++r) sum[t][r] = V::zero();
  }
  std::int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    const F w[4] = {V::load(rows + i), V::load(rows + row_stride + i),
                    V::load(rows + 2 * row_stride + i), V::load(rows + 3 * row_stride + i)};
    for (int t = 0; t < T; ++t) {
      const F a = V::load(x + t * x_stride + i);
      for (int r = 0; r < 4; ++r) sum[t][r] = V::fma(w[r], a, sum[t][r]);
    }
  }
  if (i < n) {
    for (int t = 0; t < T; ++t) {
      const F a = V::load_n(x + t * x_stride + i, n - i);
      for (int r = 0; r < 4; ++r) {
        sum[t][r] = V::fma(V::load(rows + r * row_stride + i), a, sum[t][r]);
      }
    }
  }
  for (int t = 0; t < T; ++t) V::sum4(sum[t][0], sum[t][1], sum[t][2], sum[t][3], sums + t * 4);
}

}  // namespace
}  // namespace windlass

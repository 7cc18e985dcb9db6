// The nonlinear functions of feed-forward layers, alone or as the gate of another row. For
// inclusion by isa_*.cpp alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/common_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

// x / (1 + e^-x)
struct Silu {
  template <class V>
  static typename V::F of(typename V::F x) {
    return V::div(x, V::add(V::set1(1.0f), exp<V>(V::sub(V::zero(), x))));
  }
};

// x / 2 (1 + tanh u) = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3)
struct GeluTanh {
  template <class V>
  static typename V::F of(typename V::F x) {
    const typename V::F cube = V::mul(V::mul(x, x), x);
    const typename V::F u = V::fma(V::set1(0.044715f), cube, x);
    const typename V::F power = exp<V>(V::mul(V::set1(-1.5957691216f), u));  // -2 sqrt(2 / pi)
    return V::div(x, V::add(V::set1(1.0f), power));
  }
};

// x Phi(x) = max(x, 0) - a Q(a), a = |x|, Q(a) = erfc(a / sqrt 2) / 2 the normal distribution's
// upper tail. erfc(z) = t exp(-z^2 + p(t)), t = 1 / (1 + z / 2), with the Chebyshev fit of Press et
// al., Numerical Recipes, section 6.2 (relative error below 1.2e-7 for every z >= 0).
struct GeluErf {
  template <class V>
  static typename V::F of(typename V::F x) {
    using F = typename V::F;
    const F a = V::max(V::sub(V::zero(), x), x);
    const F z = V::mul(a, V::set1(0.70710678f));
    const F t = V::div(V::set1(1.0f), V::fma(V::set1(0.5f), z, V::set1(1.0f)));
    F p = V::set1(0.17087277f);
    for (const float c : {-0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f, -0.18628806f,
                          0.09678418f, 0.37409196f, 1.00002368f, -1.26551223f}) {
      p = V::fma(p, t, V::set1(c));
    }
    const F tail = V::mul(t, exp<V>(V::sub(p, V::mul(z, z))));
    return V::sub(V::max(V::zero(), x), V::mul(V::mul(V::set1(0.5f), a), tail));
  }
};

struct Relu {
  template <class V>
  static typename V::F of(typename V::F x) {
    return V::max(V::zero(), x);  // NaN stays NaN: the second operand
  }
};

template <class V, class Function, bool kGated>
inline void activate_rows(const ActivateArgs& args, WorkRange range) {
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    const float* in = args.in + row * args.in_stride;
    float* out = args.out + row * args.out_stride;
    for (std::int64_t i = 0; i < args.width; i += V::kLanes) {
      const std::int64_t n = args.width - i;
      typename V::F value = Function::template of<V>(V::load_n(in + i, n));
      if constexpr (kGated) {
        value = V::mul(value, V::load_n(args.up + row * args.up_stride + i, n));
      }
      V::store_n(out + i, value, n);
    }
  }
}

template <class V, class Function>
void activate(const ActivateArgs& args, WorkRange range) {
  if (args.up != nullptr) {
    activate_rows<V, Function, true>(args, range);
  } else {
    activate_rows<V, Function, false>(args, range);
  }
}

}  // namespace
}  // namespace windlass

// The vector layer of AVX-512 with BF16: simd_avx512.h with products of pairs of bf16, and the
// rounding to them. Both take denormals for zeros.
#pragma once

#include "cpu_kernels/simd_avx512.h"

namespace windlass {
namespace {

struct Avx512Bf16 : Avx512 {
  using Pairs = __m512bh;  // kLanes pairs of bf16
  static Pairs load_pairs(const std::uint16_t* from) {
    return reinterpret_cast<Pairs>(_mm512_loadu_si512(from));
  }
  static Pairs load_pairs_n(const std::uint16_t* from, std::int64_t n) {  // n < 2 * kLanes
    return reinterpret_cast<Pairs>(
        _mm512_maskz_loadu_epi16(static_cast<__mmask32>((1u << n) - 1u), from));
  }
  static void store_pairs(std::uint16_t* to, Pairs value) {
    _mm512_storeu_si512(to, reinterpret_cast<__m512i>(value));
  }
  // sum + a[2i] * b[2i] + a[2i + 1] * b[2i + 1] in lane i.
  static F dot_pairs(F sum, Pairs a, Pairs b) { return _mm512_dpbf16_ps(sum, a, b); }
  static void store_bf16(std::uint16_t* to, F value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(value)));
  }
};

}  // namespace
}  // namespace windlass

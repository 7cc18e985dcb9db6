// The vector layer of AVX2 with AVX-VNNI: simd_avx2.h with byte products that sum into 32 bits in
// one instruction.
#pragma once

#include "cpu_kernels/simd_avx2.h"

namespace windlass {
namespace {

struct AvxVnni : Avx2 {
  static constexpr KernelChoice kChoice = kAvxVnniChoice;
  static Acc4 dot4(Acc4 sum, B weights, B activations) {
    return _mm256_dpbusd_avx_epi32(sum, weights, activations);
  }
  static I dot_at(I sum, B weights, const std::int8_t* activations) {
    return dot7(sum, weights, broadcast4(activations));
  }
  static I finish4(Acc4 sum) { return sum; }
  static I dot7(I sum, B weights, B activations) {
    return _mm256_dpbusd_avx_epi32(sum, weights, activations);
  }

  // vpdpbusd takes unsigned weights: w + 128. The block's sum of activations takes the 128 out
  // again.
  static constexpr int kZeroPoint8 = 128;
  static B prepare8(B value) { return _mm256_xor_si256(value, _mm256_set1_epi8(-128)); }
  static I dot8(I sum, B weights, B activations) {
    return _mm256_dpbusd_avx_epi32(sum, weights, activations);
  }
};

}  // namespace
}  // namespace windlass

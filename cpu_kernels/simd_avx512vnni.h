// The vector layer of AVX-512 with VNNI: simd_avx512.h with byte products that sum into 32 bits in
// one instruction.
#pragma once

#include "cpu_kernels/simd_avx512.h"

namespace windlass {
namespace {

struct Avx512Vnni : Avx512 {
  static constexpr KernelChoice kChoice = kAvx512VnniChoice;
  static Acc4 dot4(Acc4 sum, B weights, B activations) {
    return _mm512_dpbusd_epi32(sum, weights, activations);
  }
  // As an operand in memory: g++ 12 would load it first, one more instruction for each product.
  static I dot_at(I sum, B weights, const std::int8_t* activations) {
    struct Four {
      std::int8_t bytes[4];
    };
    __asm__("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(sum)
            : "v"(weights), "m"(*reinterpret_cast<const Four*>(activations)));
    return sum;
  }
  static I finish4(Acc4 sum) { return sum; }
  static I dot7(I sum, B weights, B activations) {
    return _mm512_dpbusd_epi32(sum, weights, activations);
  }

  // vpdpbusd takes unsigned weights: w + 128. The block's sum of activations takes the 128 out
  // again.
  static constexpr int kZeroPoint8 = 128;
  static B prepare8(B value) { return _mm512_xor_si512(value, _mm512_set1_epi8(-128)); }
  static I dot8(I sum, B weights, B activations) {
    return _mm512_dpbusd_epi32(sum, weights, activations);
  }
};

}  // namespace
}  // namespace windlass

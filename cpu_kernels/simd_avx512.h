// The vector layer of AVX-512 F, BW, DQ, VL: 16 lanes. simd_scalar.h says what each function does.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "cpu_kernels/kernel_choice.h"

namespace windlass {
namespace {

struct Avx512 {
  static constexpr KernelChoice kChoice = kAvx512Choice;
  static constexpr int kLanes = 16;
  // 12 integer and 12 float sums, 2 weight vectors and their scales fit in 32 registers.
  static constexpr int kRowVectors = 2;
  static constexpr int kTileTokens = 6;
  static constexpr int kDirectTokens = 16;
  static constexpr int kTileTokensFloat = 6;  // 24 sums, 4 vectors of weights, one of activations
  using F = __m512;
  using I = __m512i;
  using B = __m512i;
  using Acc4 = __m512i;  // 16-bit lanes: 8 steps of 2 * 15 * 127 stay below 32767

  static F zero() { return _mm512_setzero_ps(); }
  static F set1(float value) { return _mm512_set1_ps(value); }
  static F load(const float* from) { return _mm512_loadu_ps(from); }
  static F load_n(const float* from, std::int64_t n) {
    return _mm512_maskz_loadu_ps(mask(n), from);
  }
  static void store(float* to, F value) { _mm512_storeu_ps(to, value); }
  static void store_n(float* to, F value, std::int64_t n) {
    _mm512_mask_storeu_ps(to, mask(n), value);
  }
  static F load_raw(const void* from) { return _mm512_castsi512_ps(_mm512_loadu_si512(from)); }
  static F load_f16(const void* from) { return _mm512_cvtph_ps(load32(from)); }
  static F broadcast_f16(const void* from) {
    return _mm512_cvtph_ps(_mm256_set1_epi16(static_cast<short>(load_u16(from))));
  }
  static F load_bf16(const void* from) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load32(from)), 16));
  }
  static void store_f16(void* to, F value) {
    _mm256_storeu_si256(static_cast<__m256i*>(to),
                        _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
  }

  template <typename T>
  static void keep(T& value) {
    __asm__("" : "+v"(value));
  }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static float first(F value) { return _mm512_cvtss_f32(value); }
  static float sum(F value) {
    const __m256 quarter =
        _mm256_add_ps(_mm512_castps512_ps256(value), _mm512_extractf32x8_ps(value, 1));
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(quarter), _mm256_extractf128_ps(quarter, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
  }
  static float max_lane(F value) { return _mm512_reduce_max_ps(value); }
  static void sum4(F a, F b, F c, F d, float* out) {
    const F ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    const F cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    const F all = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    const __m256 two = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1)));
  }

  static I to_i32(F value) { return _mm512_cvtps_epi32(value); }
  static F to_f32(I value) { return _mm512_cvtepi32_ps(value); }
  static F scale_by_power_of_two(F value, I n) {
    const I bits = _mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23);
    return _mm512_mul_ps(value, _mm512_castsi512_ps(bits));
  }
  static I abs_bits(F value) {
    return _mm512_and_si512(_mm512_castps_si512(value), _mm512_set1_epi32(0x7fffffff));
  }
  static I zero_i() { return _mm512_setzero_si512(); }
  static I add_i(I a, I b) { return _mm512_add_epi32(a, b); }
  static I max_i(I a, I b) { return _mm512_max_epi32(a, b); }
  static std::int32_t max_lane_i(I value) { return _mm512_reduce_max_epi32(value); }
  static std::int32_t sum_i(I value) { return _mm512_reduce_add_epi32(value); }
  static I load_u8(const std::uint8_t* from) { return _mm512_cvtepu8_epi32(load16(from)); }
  static I load_i8(const std::uint8_t* from) { return _mm512_cvtepi8_epi32(load16(from)); }
  static I low_nibble(I value) { return _mm512_and_si512(value, _mm512_set1_epi32(15)); }
  static I high_nibble(I value) { return _mm512_srli_epi32(value, 4); }
  static I sub_8(I value) { return _mm512_sub_epi32(value, _mm512_set1_epi32(8)); }
  static I set1_i(std::int32_t value) { return _mm512_set1_epi32(value); }
  static I and_i(I a, I b) { return _mm512_and_si512(a, b); }
  static I or_i(I a, I b) { return _mm512_or_si512(a, b); }
  static I mul_i(I a, I b) { return _mm512_mullo_epi32(a, b); }
  static I shift_left(I value, int n) { return _mm512_sll_epi32(value, _mm_cvtsi32_si128(n)); }
  static I shift_right(I value, int n) { return _mm512_srl_epi32(value, _mm_cvtsi32_si128(n)); }
  static I shift_right_signed(I value, int n) {
    return _mm512_sra_epi32(value, _mm_cvtsi32_si128(n));
  }
  static F from_bits(I bits) { return _mm512_castsi512_ps(bits); }
  static F f16_low(I value) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(value)); }
  static void store_i8(std::int8_t* to, I value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(value));
  }

  [[gnu::always_inline]] static void load_rows16(const std::uint8_t* const* rows,
                                                 std::int64_t offset, B* out) {
    transpose_quarters(load_four(rows, offset), load_four(rows + 1, offset),
                       load_four(rows + 2, offset), load_four(rows + 3, offset), out);
  }
  // 8 inserts and 24 shuffles, where the halves by themselves would take 24 and 16.
  [[gnu::always_inline]] static void load_rows32(const std::uint8_t* const* rows,
                                                 std::int64_t offset, B* out) {
    B upper[4], lower[4];  // rows 0 to 7, and 8 to 15: columns j, 4 + j of four, then of the others
    transpose_quarters(load_pair(rows, offset), load_pair(rows + 1, offset),
                       load_pair(rows + 2, offset), load_pair(rows + 3, offset), upper);
    transpose_quarters(load_pair(rows + 8, offset), load_pair(rows + 9, offset),
                       load_pair(rows + 10, offset), load_pair(rows + 11, offset), lower);
    for (int j = 0; j < 4; ++j) {
      out[j] = _mm512_shuffle_i32x4(upper[j], lower[j], 0x88);
      out[4 + j] = _mm512_shuffle_i32x4(upper[j], lower[j], 0xdd);
    }
  }
  [[gnu::always_inline]] static F load_scales(const std::uint8_t* const* rows,
                                              std::int64_t offset) {
    return _mm512_cvtph_ps(_mm256_inserti128_si256(
        _mm256_castsi128_si256(load_halves(rows, offset)), load_halves(rows + 8, offset), 1));
  }
  // 12 inserts and 3 shuffles, where one lane after the other takes 16 of the latter.
  [[gnu::always_inline]] static I load_dwords(const std::uint8_t* const* rows,
                                              std::int64_t offset) {
    const B low = _mm512_unpacklo_epi32(load_four(rows, offset), load_four(rows + 1, offset));
    const B high = _mm512_unpacklo_epi32(load_four(rows + 2, offset), load_four(rows + 3, offset));
    return _mm512_unpacklo_epi64(low, high);
  }
  static B load_b(const void* from) { return _mm512_loadu_si512(from); }
  static void store_b(void* to, B value) { _mm512_storeu_si512(to, value); }
  static B broadcast4(const std::int8_t* from) {
    std::int32_t four;
    __builtin_memcpy(&four, from, sizeof four);
    return _mm512_set1_epi32(four);
  }
  static B low_nibbles(B value) { return _mm512_and_si512(value, _mm512_set1_epi8(15)); }
  static B high_nibbles(B value) { return low_nibbles(_mm512_srli_epi16(value, 4)); }
  static B lookup16(const std::int8_t* table, B nibbles) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(load16(table)), nibbles);
  }

  static Acc4 zero_acc4() { return _mm512_setzero_si512(); }
  static Acc4 dot4(Acc4 sum, B weights, B activations) {
    return _mm512_add_epi16(sum, _mm512_maddubs_epi16(weights, activations));
  }
  static I finish4(Acc4 sum) { return _mm512_madd_epi16(sum, _mm512_set1_epi16(1)); }

  // At most 2 * 127 * 127 = 32258 a pair.
  static I dot7(I sum, B weights, B activations) {
    const B pairs = _mm512_maddubs_epi16(weights, activations);
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }

  // |w| * (a with w's sign): at most 2 * 128 * 127 = 32512, so the 16-bit sums never saturate.
  static constexpr int kZeroPoint8 = 0;
  static B prepare8(B value) { return value; }
  static I dot8(I sum, B weights, B activations) {
    const B with_sign = _mm512_mask_sub_epi8(activations, _mm512_movepi8_mask(weights),
                                             _mm512_setzero_si512(), activations);
    const B pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(weights), with_sign);
    return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }

 private:
  static __mmask16 mask(std::int64_t n) {
    return n >= kLanes ? __mmask16{0xffff} : static_cast<__mmask16>((1u << n) - 1u);
  }
  static __m128i load16(const void* from) {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
  }
  static __m256i load32(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
  }
  // Rows 0, 4, 8 and 12 from `rows` on.
  static B load_four(const std::uint8_t* const* rows, std::int64_t offset) {
    B value = _mm512_castsi128_si512(load16(rows[0] + offset));
    value = _mm512_inserti32x4(value, load16(rows[4] + offset), 1);
    value = _mm512_inserti32x4(value, load16(rows[8] + offset), 2);
    return _mm512_inserti32x4(value, load16(rows[12] + offset), 3);
  }
  // Of rows 0 and 4 from `rows` on.
  static B load_pair(const std::uint8_t* const* rows, std::int64_t offset) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(load32(rows[0] + offset)),
                              load32(rows[4] + offset), 1);
  }
  // 4x4 transpose of dwords in each quarter.
  [[gnu::always_inline]] static void transpose_quarters(B r0, B r1, B r2, B r3, B* out) {
    const B t0 = _mm512_unpacklo_epi32(r0, r1);
    const B t1 = _mm512_unpacklo_epi32(r2, r3);
    const B t2 = _mm512_unpackhi_epi32(r0, r1);
    const B t3 = _mm512_unpackhi_epi32(r2, r3);
    out[0] = _mm512_unpacklo_epi64(t0, t1);
    out[1] = _mm512_unpackhi_epi64(t0, t1);
    out[2] = _mm512_unpacklo_epi64(t2, t3);
    out[3] = _mm512_unpackhi_epi64(t2, t3);
  }
  static __m128i load_halves(const std::uint8_t* const* rows, std::int64_t offset) {
    __m128i halves = _mm_cvtsi32_si128(load_u16(rows[0] + offset));
    halves = _mm_insert_epi16(halves, load_u16(rows[1] + offset), 1);
    halves = _mm_insert_epi16(halves, load_u16(rows[2] + offset), 2);
    halves = _mm_insert_epi16(halves, load_u16(rows[3] + offset), 3);
    halves = _mm_insert_epi16(halves, load_u16(rows[4] + offset), 4);
    halves = _mm_insert_epi16(halves, load_u16(rows[5] + offset), 5);
    halves = _mm_insert_epi16(halves, load_u16(rows[6] + offset), 6);
    return _mm_insert_epi16(halves, load_u16(rows[7] + offset), 7);
  }
  static int load_u16(const void* from) {
    std::uint16_t bits;
    __builtin_memcpy(&bits, from, sizeof bits);
    return bits;
  }
};

}  // namespace
}  // namespace windlass

// The vector layer of AVX2 + FMA + F16C: 8 lanes. simd_scalar.h says what each function does.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "cpu_kernels/kernel_choice.h"

namespace windlass {
namespace {

struct Avx2 {
  static constexpr KernelChoice kChoice = kAvx2Choice;
  static constexpr int kLanes = 8;
  // 4 integer and 4 float sums, a weight vector and two temporaries fit in 16 registers.
  static constexpr int kRowVectors = 1;
  static constexpr int kTileTokens = 4;
  static constexpr int kDirectTokens = 16;
  static constexpr int kTileTokensFloat =
      3;  // 12 sums, 3 of 4 vectors of weights, one of activations
  using F = __m256;
  using I = __m256i;
  using B = __m256i;
  using Acc4 = __m256i;  // 16-bit lanes: 8 steps of 2 * 15 * 127 stay below 32767

  static F zero() { return _mm256_setzero_ps(); }
  static F set1(float value) { return _mm256_set1_ps(value); }
  static F load(const float* from) { return _mm256_loadu_ps(from); }
  static F load_n(const float* from, std::int64_t n) { return _mm256_maskload_ps(from, mask(n)); }
  static void store(float* to, F value) { _mm256_storeu_ps(to, value); }
  static void store_n(float* to, F value, std::int64_t n) {
    _mm256_maskstore_ps(to, mask(n), value);
  }
  static F load_raw(const void* from) {
    return _mm256_castsi256_ps(_mm256_loadu_si256(static_cast<const __m256i*>(from)));
  }
  static F load_f16(const void* from) { return _mm256_cvtph_ps(load16(from)); }
  static F broadcast_f16(const void* from) {
    return _mm256_cvtph_ps(_mm_set1_epi16(static_cast<short>(load_u16(from))));
  }
  static F load_bf16(const void* from) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load16(from)), 16));
  }
  static void store_f16(void* to, F value) {
    _mm_storeu_si128(static_cast<__m128i*>(to), _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
  }

  template <typename T>
  static void keep(T& value) {
    __asm__("" : "+x"(value));
  }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static float first(F value) { return _mm256_cvtss_f32(value); }
  static float sum(F value) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
  }
  static float max_lane(F value) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps(value, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
  }
  static void sum4(F a, F b, F c, F d, float* out) {
    const F ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    const F cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    const F all = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
  }

  static I to_i32(F value) { return _mm256_cvtps_epi32(value); }
  static F to_f32(I value) { return _mm256_cvtepi32_ps(value); }
  static F scale_by_power_of_two(F value, I n) {
    const I bits = _mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(value, _mm256_castsi256_ps(bits));
  }
  static I abs_bits(F value) {
    return _mm256_and_si256(_mm256_castps_si256(value), _mm256_set1_epi32(0x7fffffff));
  }
  static I zero_i() { return _mm256_setzero_si256(); }
  static I add_i(I a, I b) { return _mm256_add_epi32(a, b); }
  static I max_i(I a, I b) { return _mm256_max_epi32(a, b); }
  static std::int32_t max_lane_i(I value) {
    __m128i half = _mm_max_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256(value, 1));
    half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
  }
  static std::int32_t sum_i(I value) {
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256(value, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
  }
  static I load_u8(const std::uint8_t* from) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  }
  static I load_i8(const std::uint8_t* from) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
  }
  static I low_nibble(I value) { return _mm256_and_si256(value, _mm256_set1_epi32(15)); }
  static I high_nibble(I value) { return _mm256_srli_epi32(value, 4); }
  static I sub_8(I value) { return _mm256_sub_epi32(value, _mm256_set1_epi32(8)); }
  static I set1_i(std::int32_t value) { return _mm256_set1_epi32(value); }
  static I and_i(I a, I b) { return _mm256_and_si256(a, b); }
  static I or_i(I a, I b) { return _mm256_or_si256(a, b); }
  static I mul_i(I a, I b) { return _mm256_mullo_epi32(a, b); }
  static I shift_left(I value, int n) { return _mm256_sll_epi32(value, _mm_cvtsi32_si128(n)); }
  static I shift_right(I value, int n) { return _mm256_srl_epi32(value, _mm_cvtsi32_si128(n)); }
  static I shift_right_signed(I value, int n) {
    return _mm256_sra_epi32(value, _mm_cvtsi32_si128(n));
  }
  static F from_bits(I bits) { return _mm256_castsi256_ps(bits); }
  static F f16_low(I value) {
    const I low = and_i(value, _mm256_set1_epi32(0xffff));
    const I packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0x08);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
  }
  static void store_i8(std::int8_t* to, I value) {
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256(value, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi16(words, words));
  }

  [[gnu::always_inline]] static void load_rows16(const std::uint8_t* const* rows,
                                                 std::int64_t offset, B* out) {
    const B r0 = load_two(rows[0] + offset, rows[4] + offset);
    const B r1 = load_two(rows[1] + offset, rows[5] + offset);
    const B r2 = load_two(rows[2] + offset, rows[6] + offset);
    const B r3 = load_two(rows[3] + offset, rows[7] + offset);
    // 4x4 transpose of dwords in each half.
    const B t0 = _mm256_unpacklo_epi32(r0, r1);
    const B t1 = _mm256_unpacklo_epi32(r2, r3);
    const B t2 = _mm256_unpackhi_epi32(r0, r1);
    const B t3 = _mm256_unpackhi_epi32(r2, r3);
    out[0] = _mm256_unpacklo_epi64(t0, t1);
    out[1] = _mm256_unpackhi_epi64(t0, t1);
    out[2] = _mm256_unpacklo_epi64(t2, t3);
    out[3] = _mm256_unpackhi_epi64(t2, t3);
  }
  [[gnu::always_inline]] static void load_rows32(const std::uint8_t* const* rows,
                                                 std::int64_t offset, B* out) {
    load_rows16(rows, offset, out);
    load_rows16(rows, offset + 16, out + 4);
  }
  [[gnu::always_inline]] static F load_scales(const std::uint8_t* const* rows,
                                              std::int64_t offset) {
    __m128i halves = _mm_cvtsi32_si128(load_u16(rows[0] + offset));
    halves = _mm_insert_epi16(halves, load_u16(rows[1] + offset), 1);
    halves = _mm_insert_epi16(halves, load_u16(rows[2] + offset), 2);
    halves = _mm_insert_epi16(halves, load_u16(rows[3] + offset), 3);
    halves = _mm_insert_epi16(halves, load_u16(rows[4] + offset), 4);
    halves = _mm_insert_epi16(halves, load_u16(rows[5] + offset), 5);
    halves = _mm_insert_epi16(halves, load_u16(rows[6] + offset), 6);
    halves = _mm_insert_epi16(halves, load_u16(rows[7] + offset), 7);
    return _mm256_cvtph_ps(halves);
  }
  [[gnu::always_inline]] static I load_dwords(const std::uint8_t* const* rows,
                                              std::int64_t offset) {
    const B r0 = load_two(rows[0] + offset, rows[4] + offset);
    const B r1 = load_two(rows[1] + offset, rows[5] + offset);
    const B r2 = load_two(rows[2] + offset, rows[6] + offset);
    const B r3 = load_two(rows[3] + offset, rows[7] + offset);
    return _mm256_unpacklo_epi64(_mm256_unpacklo_epi32(r0, r1), _mm256_unpacklo_epi32(r2, r3));
  }
  static B load_b(const void* from) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
  }
  static void store_b(void* to, B value) { _mm256_storeu_si256(static_cast<__m256i*>(to), value); }
  static B broadcast4(const std::int8_t* from) {
    std::int32_t four;
    __builtin_memcpy(&four, from, sizeof four);
    return _mm256_set1_epi32(four);
  }
  static B low_nibbles(B value) { return _mm256_and_si256(value, _mm256_set1_epi8(15)); }
  static B high_nibbles(B value) { return low_nibbles(_mm256_srli_epi16(value, 4)); }
  static B lookup16(const std::int8_t* table, B nibbles) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load16(table)), nibbles);
  }

  static Acc4 zero_acc4() { return _mm256_setzero_si256(); }
  static Acc4 dot4(Acc4 sum, B weights, B activations) {
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(weights, activations));
  }
  static I finish4(Acc4 sum) { return _mm256_madd_epi16(sum, _mm256_set1_epi16(1)); }

  // At most 2 * 127 * 127 = 32258 a pair.
  static I dot7(I sum, B weights, B activations) {
    const B pairs = _mm256_maddubs_epi16(weights, activations);
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }

  // |w| * (a with w's sign): at most 2 * 128 * 127 = 32512, so the 16-bit sums never saturate.
  static constexpr int kZeroPoint8 = 0;
  static B prepare8(B value) { return value; }
  static I dot8(I sum, B weights, B activations) {
    const B pairs =
        _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(activations, weights));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }

 private:
  static __m256i mask(std::int64_t n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n < kLanes ? n : kLanes)), lane);
  }
  static __m128i load16(const void* from) {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
  }
  static B load_two(const std::uint8_t* low, const std::uint8_t* high) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load16(low)), load16(high), 1);
  }
  static int load_u16(const void* from) {
    std::uint16_t bits;
    __builtin_memcpy(&bits, from, sizeof bits);
    return bits;
  }
};

}  // namespace
}  // namespace windlass

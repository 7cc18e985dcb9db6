// The vector layer of one lane: the plain C++ that every machine runs, and the documentation of
// what the other layers do. Everything sits in an unnamed namespace: a shared inline function could
// be linked in from a file with wider instructions.
#pragma once

#include <cstdint>

#include "cpu_kernels/kernel_choice.h"
#include "src/base/half.h"

namespace windlass {
namespace {

struct Scalar {
  static constexpr KernelChoice kChoice = kScalarChoice;
  static constexpr int kLanes = 1;
  // Shape of the register tile of the q8 matmul: kRowVectors * kLanes weight rows by kTileTokens
  // tokens.
  static constexpr int kRowVectors = 1;
  static constexpr int kTileTokens = 4;
  // Tokens that meet weights which are plain numbers as these lie in the file, without a panel; a
  // chunk of them stays in L1. At least kTileTokensFloat.
  static constexpr int kDirectTokens = 2;
  static constexpr int kTileTokensFloat = 2;  // tokens of a tile of float sums (float_tile_inl.h)
  using F = float;
  using I = std::int32_t;
  using B = std::int32_t;  // kLanes groups of four bytes, the first the lowest; the same type as I
  using Acc4 = std::int32_t;  // sums of products of 4-bit weights, good for one block of 32

  static F zero() { return 0.0f; }
  static F set1(float value) { return value; }
  static F load(const float* from) { return *from; }
  static F load_n(const float* from, std::int64_t n) { return n > 0 ? *from : 0.0f; }
  static void store(float* to, F value) { *to = value; }
  static void store_n(float* to, F value, std::int64_t n) {
    if (n > 0) *to = value;
  }
  static F load_raw(const void* from) {  // any alignment
    F value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
  }
  static F load_f16(const void* from) { return f32_from_f16(load_u16(from)); }
  static F broadcast_f16(const void* from) { return load_f16(from); }  // one f16, in all lanes
  static F load_bf16(const void* from) { return f32_from_bf16(load_u16(from)); }
  static void store_f16(void* to, F value) {
    const std::uint16_t bits = f16_from_f32(value);
    __builtin_memcpy(to, &bits, sizeof bits);
  }

  // Keeps a value that is used more than once in a register: else g++ loads it again with each use.
  template <typename T>
  static void keep(T& value) {
    __asm__("" : "+x"(value));
  }
  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F fma(F a, F b, F c) { return a * b + c; }
  // As x86: the second operand where either is NaN.
  static F max(F a, F b) { return a > b ? a : b; }
  static F min(F a, F b) { return a < b ? a : b; }
  static float sum(F value) { return value; }
  static float max_lane(F value) { return value; }
  static float first(F value) { return value; }
  static void sum4(F a, F b, F c, F d, float* out) {
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
  }

  static I to_i32(F value) { return static_cast<I>(__builtin_lrintf(value)); }  // nearest even
  static F to_f32(I value) { return static_cast<F>(value); }
  static F scale_by_power_of_two(F value, I n) {  // n in [-126, 127]
    const std::uint32_t bits = static_cast<std::uint32_t>(n + 127) << 23;
    F power;
    __builtin_memcpy(&power, &bits, sizeof power);
    return value * power;
  }
  static I abs_bits(F value) {
    I bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits & 0x7fffffff;
  }
  static I zero_i() { return 0; }
  static I add_i(I a, I b) { return a + b; }
  static I max_i(I a, I b) { return a > b ? a : b; }
  static I max_lane_i(I value) { return value; }
  static I sum_i(I value) { return value; }
  static I load_u8(const std::uint8_t* from) { return *from; }
  static I load_i8(const std::uint8_t* from) { return static_cast<std::int8_t>(*from); }
  static I low_nibble(I value) { return value & 15; }
  static I high_nibble(I value) { return value >> 4; }
  static I sub_8(I value) { return value - 8; }
  static I set1_i(std::int32_t value) { return value; }
  static I and_i(I a, I b) { return a & b; }
  static I or_i(I a, I b) { return a | b; }
  static I mul_i(I a, I b) { return from_unsigned(to_unsigned(a) * to_unsigned(b)); }
  static I shift_left(I value, int n) { return from_unsigned(to_unsigned(value) << n); }
  static I shift_right(I value, int n) { return from_unsigned(to_unsigned(value) >> n); }
  static I shift_right_signed(I value, int n) { return value >> n; }
  static F from_bits(I bits) { return load_raw(&bits); }
  static F f16_low(I value) {  // the f16 in the low half of each lane
    return f32_from_f16(static_cast<std::uint16_t>(to_unsigned(value) & 0xffffu));
  }
  static void store_i8(std::int8_t* to, I value) { *to = static_cast<std::int8_t>(value); }

  // out[j] = bytes 4j..4j+3 of the 16 bytes at rows[lane] + offset, for every lane.
  static void load_rows16(const std::uint8_t* const* rows, std::int64_t offset, B* out) {
    __builtin_memcpy(out, rows[0] + offset, 16);
  }
  // The same of 32 bytes.
  static void load_rows32(const std::uint8_t* const* rows, std::int64_t offset, B* out) {
    __builtin_memcpy(out, rows[0] + offset, 32);
  }
  // The f16 at rows[lane] + offset.
  static F load_scales(const std::uint8_t* const* rows, std::int64_t offset) {
    return load_f16(rows[0] + offset);
  }
  // The four bytes at rows[lane] + offset; reads sixteen.
  static I load_dwords(const std::uint8_t* const* rows, std::int64_t offset) {
    return load_b(rows[0] + offset);
  }
  static B load_b(const void* from) {
    B value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
  }
  static void store_b(void* to, B value) { __builtin_memcpy(to, &value, sizeof value); }
  static B broadcast4(const std::int8_t* from) { return load_b(from); }
  static B low_nibbles(B value) { return value & 0x0f0f0f0f; }
  static B high_nibbles(B value) { return shift_right(value, 4) & 0x0f0f0f0f; }
  // table[byte] for each byte. REQUIRES: bytes below 16.
  static B lookup16(const std::int8_t* table, B nibbles) {
    std::uint32_t out = 0;
    for (int i = 0; i < 4; ++i) {
      out |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(table[byte(nibbles, i)]))
             << (8 * i);
    }
    return from_unsigned(out);
  }

  static Acc4 zero_acc4() { return 0; }
  static Acc4 dot4(Acc4 sum, B weights, B activations) { return dot7(sum, weights, activations); }
  static I finish4(Acc4 sum) { return sum; }
  // The same of unsigned weights below 128, in 32 bits.
  static I dot7(I sum, B weights, B activations) {
    for (int i = 0; i < 4; ++i) sum += byte(weights, i) * signed_byte(activations, i);
    return sum;
  }

  // 8-bit weights: `prepare8` turns the file's signed bytes into what dot8 takes; dot8 sums
  // (weight + kZeroPoint8) * activation.
  static constexpr int kZeroPoint8 = 0;
  static B prepare8(B value) { return value; }
  static I dot8(I sum, B weights, B activations) {
    for (int i = 0; i < 4; ++i) sum += signed_byte(weights, i) * signed_byte(activations, i);
    return sum;
  }

 private:
  static std::uint32_t to_unsigned(I value) { return static_cast<std::uint32_t>(value); }
  static I from_unsigned(std::uint32_t value) { return static_cast<I>(value); }
  static int byte(B value, int i) { return static_cast<int>(to_unsigned(value) >> (8 * i) & 255u); }
  static int signed_byte(B value, int i) { return static_cast<std::int8_t>(byte(value, i)); }
  static std::uint16_t load_u16(const void* from) {
    std::uint16_t bits;
    __builtin_memcpy(&bits, from, sizeof bits);
    return bits;
  }
};

}  // namespace
}  // namespace windlass

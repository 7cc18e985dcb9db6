// The types of 32 weights a block.
#include "src/quant/block_encoders.h"
#include "src/quant/scale_search.h"

namespace windlass::quant {
namespace {

constexpr int kWeights = 32;

// Codes 0 .. 15: those of the first half in the low nibbles.
void put_nibbles(const std::int8_t* codes, std::uint8_t* out) {
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<std::uint8_t>((codes[i] & 15) | (codes[16 + i] & 15) << 4);
  }
}

void put_fifth_bits(const std::int8_t* codes, std::uint8_t* out) {
  std::uint32_t bits = 0;
  for (int i = 0; i < kWeights; ++i) bits |= static_cast<std::uint32_t>(codes[i] >> 4 & 1) << i;
  std::memcpy(out, &bits, sizeof bits);
}

// Codes of x on the line through zero whose f16 scale goes to `scale`, moved to start at 0.
void symmetric_codes(const float* x, Codes range, std::uint8_t* scale, std::int8_t* codes) {
  const float found = search_scale(x, kWeights, range);
  store_u16(scale, half_bits(found));
  nearest_codes(x, kWeights, {rounded_to_half(found), 0}, range, codes);
  for (int i = 0; i < kWeights; ++i) codes[i] = static_cast<std::int8_t>(codes[i] - range.lo);
}

// The same with a minimum behind the scale.
void line_codes(const float* x, int most, std::uint8_t* scale, std::int8_t* codes) {
  const Line found = search_line(x, kWeights, most, false);
  store_u16(scale, half_bits(found.scale));
  store_u16(scale + 2, half_bits(found.minimum));
  nearest_codes(x, kWeights, {rounded_to_half(found.scale), rounded_to_half(found.minimum)},
                {0, most}, codes);
}

}  // namespace

void encode_q4_0(const float* x, std::uint8_t* out) {
  std::int8_t codes[kWeights];
  symmetric_codes(x, {-8, 7}, out, codes);
  put_nibbles(codes, out + 2);
}

void encode_q4_1(const float* x, std::uint8_t* out) {
  std::int8_t codes[kWeights];
  line_codes(x, 15, out, codes);
  put_nibbles(codes, out + 4);
}

void encode_q5_0(const float* x, std::uint8_t* out) {
  std::int8_t codes[kWeights];
  symmetric_codes(x, {-16, 15}, out, codes);
  put_fifth_bits(codes, out + 2);
  put_nibbles(codes, out + 6);
}

void encode_q5_1(const float* x, std::uint8_t* out) {
  std::int8_t codes[kWeights];
  line_codes(x, 31, out, codes);
  put_fifth_bits(codes, out + 4);
  put_nibbles(codes, out + 8);
}

void encode_q8_0(const float* x, std::uint8_t* out) {
  constexpr Codes kRange = {-127, 127};
  const float scale = search_scale(x, kWeights, kRange);
  store_u16(out, half_bits(scale));
  nearest_codes(x, kWeights, {rounded_to_half(scale), 0}, kRange,
                reinterpret_cast<std::int8_t*>(out + 2));
}

}  // namespace windlass::quant

// The K types: 256 weights in groups whose scales (and minima) are themselves integers times an f16
// of the whole block. Groups are searched alone first; then the block's f16 factors and the groups'
// integers are improved in turns, each for fixed others, by the error that the decoder would see.
#include <algorithm>
#include <cmath>

#include "src/base/half.h"
#include "src/quant/block_encoders.h"
#include "src/quant/scale_search.h"

namespace windlass::quant {
namespace {

constexpr int kWeights = 256, kMostGroups = 16;
constexpr int kImproveRounds = 3;

struct KType {
  int group_weights;
  Codes codes, scales;  // what codes and scales of groups may be
  int groups() const { return kWeights / group_weights; }
};

// weight = scale * scales[g] * code - minimum * minima[g]
struct KBlock {
  float scale = 0, minimum = 0;  // f16 values
  int scales[kMostGroups] = {}, minima[kMostGroups] = {};
  std::int8_t codes[kWeights] = {};

  Line line(int group) const {
    return {scale * static_cast<float>(scales[group]),
            -minimum * static_cast<float>(minima[group])};
  }
};

int nearest_integer(float value, Codes range) {
  const float clamped =
      std::clamp(value, static_cast<float>(range.lo), static_cast<float>(range.hi));
  return static_cast<int>(std::nearbyint(clamped));
}

float divided(float value, float by) { return by == 0 ? 0.0f : value / by; }

// The integers next to (scale, minimum) of one group that serve it best, and the error left.
float choose_integers(const float* x, const KType& type, Line wanted, bool has_minima, int group,
                      KBlock& block) {
  const int scale = nearest_integer(divided(wanted.scale, block.scale), type.scales);
  const int minimum = nearest_integer(divided(-wanted.minimum, block.minimum), type.scales);
  const int around = has_minima ? 1 : 0;
  float least = INFINITY;
  int best_scale = 0, best_minimum = 0;
  for (int m = minimum - around; m <= minimum + around; ++m) {
    for (int s = scale - 1; s <= scale + 1; ++s) {
      if (std::clamp(s, type.scales.lo, type.scales.hi) != s) continue;
      if (has_minima && std::clamp(m, type.scales.lo, type.scales.hi) != m) continue;
      block.scales[group] = s;
      block.minima[group] = has_minima ? m : 0;
      const float error = squared_error(x, type.group_weights, block.line(group), type.codes);
      if (error >= least) continue;
      least = error;
      best_scale = s;
      best_minimum = block.minima[group];
    }
  }
  block.scales[group] = best_scale;
  block.minima[group] = best_minimum;
  return least;
}

// Integers and codes of all groups for the block's factors; the error left.
float choose_block(const float* x, const KType& type, const Line* wanted, bool has_minima,
                   KBlock& block) {
  float error = 0;
  for (int g = 0; g < type.groups(); ++g) {
    const float* group = x + g * type.group_weights;
    error += choose_integers(group, type, wanted[g], has_minima, g, block);
    nearest_codes(group, type.group_weights, block.line(g), type.codes,
                  block.codes + g * type.group_weights);
  }
  return error;
}

// The least-squares factors for fixed integers and codes: x = scale * a - minimum * b.
void refit_factors(const float* x, const KType& type, bool has_minima, KBlock& block) {
  double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
  for (int i = 0; i < kWeights; ++i) {
    const int g = i / type.group_weights;
    const double a = block.scales[g] * static_cast<double>(block.codes[i]);
    const double b = -block.minima[g];
    aa += a * a;
    ab += a * b;
    bb += b * b;
    xa += x[i] * a;
    xb += x[i] * b;
  }
  const double determinant = aa * bb - ab * ab;
  if (has_minima && bb > 0 && determinant > 1e-9 * aa * bb) {
    const double minimum = (aa * xb - ab * xa) / determinant;
    if (minimum >= 0) {
      block.scale = rounded_to_half(static_cast<float>((bb * xa - ab * xb) / determinant));
      block.minimum = rounded_to_half(static_cast<float>(minimum));
      return;
    }
  }
  if (aa > 0) {
    const double rest = xa - ab * static_cast<double>(block.minimum);
    block.scale = rounded_to_half(static_cast<float>(rest / aa));
  }
}

// The best block found whose factors start at these.
float improve(const float* x, const KType& type, const Line* wanted, bool has_minima,
              KBlock& block) {
  float error = choose_block(x, type, wanted, has_minima, block);
  for (int round = 0; round < kImproveRounds; ++round) {
    KBlock next = block;
    refit_factors(x, type, has_minima, next);
    const float next_error = choose_block(x, type, wanted, has_minima, next);
    if (!(next_error < error)) break;
    error = next_error;
    block = next;
  }
  return error;
}

// Without minima: scales of either sign.
KBlock encode_symmetric(const float* x, const KType& type) {
  Line wanted[kMostGroups];
  float extreme = 0;
  for (int g = 0; g < type.groups(); ++g) {
    wanted[g].scale = search_scale(x + g * type.group_weights, type.group_weights, type.codes);
    if (std::abs(wanted[g].scale) > std::abs(extreme)) extreme = wanted[g].scale;
  }
  KBlock block;
  block.scale = rounded_to_half(extreme / static_cast<float>(type.scales.lo));
  improve(x, type, wanted, false, block);
  return block;
}

KBlock encode_with_minima(const float* x, const KType& type) {
  Line wanted[kMostGroups];
  float scale = 0, minimum = 0;
  for (int g = 0; g < type.groups(); ++g) {
    wanted[g] = search_line(x + g * type.group_weights, type.group_weights, type.codes.hi, true);
    scale = std::max(scale, wanted[g].scale);
    minimum = std::max(minimum, -wanted[g].minimum);
  }
  KBlock block;
  const auto most = static_cast<float>(type.scales.hi);
  block.scale = rounded_to_half(scale / most);
  block.minimum = rounded_to_half(minimum / most);
  improve(x, type, wanted, true, block);
  return block;
}

std::uint8_t byte(int value) { return static_cast<std::uint8_t>(value); }

// Sets `bits` bits of a byte from `shift` on, over zeros.
void put_bits(std::uint8_t& to, int value, int bits, int shift) {
  to = byte(to | (value & ((1 << bits) - 1)) << shift);
}

// The two low bits of codes 0 .. 7: those of the four blocks of 32 in a half share a byte.
void put_two_bits(const std::int8_t* codes, int lowest, std::uint8_t* out) {
  for (int i = 0; i < kWeights; ++i) {
    put_bits(out[i / 128 * 32 + i % 32], codes[i] - lowest, 2, i / 32 % 4 * 2);
  }
}

// 8 scales and 8 minima of 6 bits in 12 bytes.
void put_six_bit_scales(const KBlock& block, std::uint8_t* out) {
  for (int g = 0; g < 4; ++g) {
    out[g] = byte(block.scales[g] | block.scales[4 + g] >> 4 << 6);
    out[4 + g] = byte(block.minima[g] | block.minima[4 + g] >> 4 << 6);
    out[8 + g] = byte((block.scales[4 + g] & 15) | (block.minima[4 + g] & 15) << 4);
  }
}

// The four low bits: groups 2k and 2k + 1 of 32 share 32 bytes.
void put_group_nibbles(const std::int8_t* codes, std::uint8_t* out) {
  for (int i = 0; i < kWeights; ++i)
    put_bits(out[i / 64 * 32 + i % 32], codes[i], 4, i / 32 % 2 * 4);
}

void put_factors(const KBlock& block, std::uint8_t* out) {
  store_u16(out, f16_from_f32(block.scale));
  store_u16(out + 2, f16_from_f32(block.minimum));
}

}  // namespace

void encode_q2_k(const float* x, std::uint8_t* out) {
  const KBlock block = encode_with_minima(x, {16, {0, 3}, {0, 15}});
  std::memset(out, 0, 84);
  for (int g = 0; g < 16; ++g) out[g] = byte(block.scales[g] | block.minima[g] << 4);
  put_two_bits(block.codes, 0, out + 16);
  put_factors(block, out + 80);
}

void encode_q3_k(const float* x, std::uint8_t* out) {
  const KBlock block = encode_symmetric(x, {16, {-4, 3}, {-32, 31}});
  std::memset(out, 0, 110);
  for (int i = 0; i < kWeights; ++i) put_bits(out[i % 32], (block.codes[i] + 4) >> 2, 1, i / 32);
  put_two_bits(block.codes, -4, out + 32);
  for (int g = 0; g < 16; ++g) {
    const int scale = block.scales[g] + 32;
    put_bits(out[96 + g % 8], scale, 4, g / 8 * 4);
    put_bits(out[104 + g % 4], scale >> 4, 2, g / 4 * 2);
  }
  store_u16(out + 108, f16_from_f32(block.scale));
}

void encode_q4_k(const float* x, std::uint8_t* out) {
  const KBlock block = encode_with_minima(x, {32, {0, 15}, {0, 63}});
  std::memset(out, 0, 144);
  put_factors(block, out);
  put_six_bit_scales(block, out + 4);
  put_group_nibbles(block.codes, out + 16);
}

void encode_q5_k(const float* x, std::uint8_t* out) {
  const KBlock block = encode_with_minima(x, {32, {0, 31}, {0, 63}});
  std::memset(out, 0, 176);
  put_factors(block, out);
  put_six_bit_scales(block, out + 4);
  for (int i = 0; i < kWeights; ++i) put_bits(out[16 + i % 32], block.codes[i] >> 4, 1, i / 32);
  put_group_nibbles(block.codes, out + 48);
}

void encode_q6_k(const float* x, std::uint8_t* out) {
  const KBlock block = encode_symmetric(x, {16, {-32, 31}, {-128, 127}});
  std::memset(out, 0, 210);
  for (int i = 0; i < kWeights; ++i) {
    const int code = block.codes[i] + 32, half = i / 128;
    put_bits(out[64 * half + i % 64], code, 4, i / 64 % 2 * 4);
    put_bits(out[128 + 32 * half + i % 32], code >> 4, 2, i / 32 % 4 * 2);
  }
  for (int g = 0; g < 16; ++g) out[192 + g] = byte(block.scales[g]);
  store_u16(out + 208, f16_from_f32(block.scale));
}

}  // namespace windlass::quant

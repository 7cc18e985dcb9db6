// bf16 numbers of floats.
#pragma once

#include "kernels/device_words.h"

namespace windlass {

// To nearest even; NaNs stay NaN.
inline __device__ std::uint16_t bf16_of_f32(float value) {
  const std::uint32_t bits = bits_of_f32(value);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  const std::uint32_t rounded = nan ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1u);
  return static_cast<std::uint16_t>(rounded >> 16);
}

}  // namespace windlass

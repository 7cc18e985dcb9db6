// Which kernel serves how many tokens: a row for each vector layer, as its bench chose it on a CPU
// that has the layer (FlashDecoding++, arXiv 2311.01282, section 5: the choice by shape is looked
// up). bench/micro/kernel_choice.py measures and writes the rows.
#pragma once

namespace windlass {

// Products of quantised weights with up to so many tokens are computed from registers
// (matmul_q8_thin_inl.h), of more from a panel (matmul_q8_inl.h): of types with a scale for 32
// weights, and with one for 16. Both give the same bits.
struct KernelChoice {
  int thin_tokens, thin_tokens_halves;
};

// clang-format off
// begin of the measured rows
inline constexpr KernelChoice kScalarChoice = {1, 1};
inline constexpr KernelChoice kAvx2Choice = {16, 16};
inline constexpr KernelChoice kAvxVnniChoice = {16, 16};
inline constexpr KernelChoice kAvx512Choice = {16, 16};
inline constexpr KernelChoice kAvx512VnniChoice = {16, 16};
// end of the measured rows
// clang-format on

}  // namespace windlass

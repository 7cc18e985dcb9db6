// Products of more tokens than a matrix-vector kernel takes at once.
#pragma once

#include "kernels/op_table.h"

namespace windlass {

// Tokens that weights meet by multiply-adds or byte dots; more meet them in tiles.
inline constexpr int kMostVectors = 8;

// A sum with float activations goes over segments of so many weights: each starts at 0 and adds its
// products one by one, and segments are added up in their order, here and there.
inline constexpr int kF32Segment = 64;

// REQUIRES: strides of x are said, more than kMostVectors tokens; of matmul_q8_tiles: the type
// takes q8 activations.
void matmul_f32_tiles(DType type, const MatMulArgs& args, DeviceRange rows);
void matmul_q8_tiles(DType type, const MatMulArgs& args, DeviceRange rows);

}  // namespace windlass

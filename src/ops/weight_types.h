// The tensor types that weights may have, one row each. Per-ISA files include this: PODs only.
#pragma once

#include "src/base/dtype.h"

namespace windlass {

struct WeightType {
  DType type;
  bool int8;         // has a matmul with q8 activations, and takes it unless f32 ones are wanted
  DType costs_like;  // a weight costs the CPU about as much as one of this type, which the profile
                     // measures; itself where the profile does
};

inline constexpr WeightType kWeightTypes[] = {
    {DType::kF32, false, DType::kF32},       {DType::kF16, false, DType::kF16},
    {DType::kBF16, false, DType::kBF16},     {DType::kQ4_0, true, DType::kQ4_0},
    {DType::kQ4_1, true, DType::kQ4_0},      {DType::kQ5_0, true, DType::kQ4_K},
    {DType::kQ5_1, true, DType::kQ4_K},      {DType::kQ8_0, true, DType::kQ8_0},
    {DType::kQ2_K, true, DType::kQ6_K},      {DType::kQ3_K, true, DType::kQ6_K},
    {DType::kQ4_K, true, DType::kQ4_K},      {DType::kQ5_K, true, DType::kQ4_K},
    {DType::kQ6_K, true, DType::kQ6_K},      {DType::kIQ4_NL, true, DType::kQ4_K},
    {DType::kIQ4_XS, true, DType::kQ4_K},    {DType::kMXFP4, true, DType::kQ4_K},
    {DType::kNVFP4, true, DType::kQ4_K},     {DType::kIQ1_S, true, DType::kIQ2_XS},
    {DType::kIQ1_M, true, DType::kIQ2_XS},   {DType::kIQ2_XXS, true, DType::kIQ2_XS},
    {DType::kIQ2_XS, true, DType::kIQ2_XS},  {DType::kIQ2_S, true, DType::kIQ2_XS},
    {DType::kIQ3_XXS, true, DType::kIQ2_XS}, {DType::kIQ3_S, true, DType::kIQ2_XS},
    {DType::kTQ1_0, true, DType::kIQ2_XS},   {DType::kTQ2_0, true, DType::kIQ2_XS},
};

// Null for a type that no kernel takes.
constexpr const WeightType* find_weight_type(DType type) {
  for (const WeightType& row : kWeightTypes) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

constexpr bool takes_int8(DType type) {
  const WeightType* row = find_weight_type(type);
  return row != nullptr && row->int8;
}

}  // namespace windlass

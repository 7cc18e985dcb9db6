// The weight types that kernels read, all of them by one table.
#pragma once

#include "kernels/formats/blocks_32.h"
#include "kernels/formats/floats.h"
#include "kernels/formats/k_quants.h"

namespace windlass {

template <DType... kTypes>
struct TypeList {};

using DecodedTypes =
    TypeList<DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
             DType::kQ5_1, DType::kQ8_0, DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K,
             DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS, DType::kMXFP4, DType::kNVFP4>;

}  // namespace windlass

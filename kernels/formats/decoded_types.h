// The weight types that kernels read: all that weight_types.h has.
#pragma once

#include "kernels/formats/blocks_32.h"
#include "kernels/formats/codebooks.h"
#include "kernels/formats/floats.h"
#include "kernels/formats/k_quants.h"
#include "kernels/formats/ternary.h"

namespace windlass {

template <DType... kTypes>
struct TypeList {
  // Calls visit.operator()<kType>() for each.
  template <class Visit>
  static void for_each(const Visit& visit) {
    (visit.template operator()<kTypes>(), ...);
  }
  // In a kernel: calls visit.operator()<kType>() for the one that `type` is.
  template <class Visit>
  static __device__ void for_one(DType type, const Visit& visit) {
    (void)((type == kTypes ? (visit.template operator()<kTypes>(), true) : false) || ...);
  }
};

using FloatTypes = TypeList<DType::kF32, DType::kF16, DType::kBF16>;
using Int8Types =
    TypeList<DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0, DType::kQ2_K,
             DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS,
             DType::kMXFP4, DType::kNVFP4, DType::kIQ1_S, DType::kIQ1_M, DType::kIQ2_XXS,
             DType::kIQ2_XS, DType::kIQ2_S, DType::kIQ3_XXS, DType::kIQ3_S, DType::kTQ1_0,
             DType::kTQ2_0>;

template <class Visit>
void for_each_decoded_type(const Visit& visit) {
  FloatTypes::for_each(visit);
  Int8Types::for_each(visit);
}

}  // namespace windlass

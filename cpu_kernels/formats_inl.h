// All weight types (formats/format.h says what one is). For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/floats.h"
#include "cpu_kernels/formats/iq1.h"
#include "cpu_kernels/formats/iq2.h"
#include "cpu_kernels/formats/iq3.h"
#include "cpu_kernels/formats/iq4.h"
#include "cpu_kernels/formats/nvfp4.h"
#include "cpu_kernels/formats/q2_k.h"
#include "cpu_kernels/formats/q4.h"
#include "cpu_kernels/formats/q4_k.h"
#include "cpu_kernels/formats/q5.h"
#include "cpu_kernels/formats/q6_k.h"
#include "cpu_kernels/formats/q8_0.h"
#include "cpu_kernels/formats/ternary.h"

namespace windlass {
namespace {

// What the op bodies that turn weights to floats know of a type, so that one body serves all.
struct FloatForm {
  std::int64_t block_weights, block_bytes;
  void (*dequantize)(const std::uint8_t* from, float* out, std::int64_t n);
};

template <class V, DType kType>
constexpr FloatForm float_form() {
  return {Format<kType>::kBlockWeights, Format<kType>::kBlockBytes,
          Format<kType>::template dequantize<V>};
}

}  // namespace
}  // namespace windlass

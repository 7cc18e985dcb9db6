// Matmul with f32 activations, for every weight type: rows become floats in a panel that serves
// all tokens; weights that are plain numbers go straight to the sums of a few tokens. For inclusion
// by isa_*.cpp alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/float_direct_inl.h"
#include "cpu_kernels/float_tile_inl.h"
#include "cpu_kernels/formats_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

// F32, F16 and BF16 as they lie in the file.
template <class V, DType kType>
struct NumberSource {
  static constexpr std::int64_t kWeightBytes = Format<kType>::kBlockBytes;
  static constexpr bool kWhole = false;
  static constexpr int kAhead = kTileRows, kLocality = 3;
  static typename V::F load(const std::uint8_t* from) {
    if constexpr (kType == DType::kF32) return V::load_raw(from);
    if constexpr (kType == DType::kF16) return V::load_f16(from);
    if constexpr (kType == DType::kBF16) return V::load_bf16(from);
  }
  // The vector would read past the row: go through a copy.
  static typename V::F load_n(const std::uint8_t* from, std::int64_t n) {
    std::uint8_t last[V::kLanes * kWeightBytes] = {};
    __builtin_memcpy(last, from, static_cast<std::size_t>(n * kWeightBytes));
    return load(last);
  }
};

// Floats between tokens.
inline std::int64_t f32_stride(const MatMulArgs& args) {
  return args.x_stride_bytes > 0 ? args.x_stride_bytes / 4 : args.n_in;
}

template <class V>
void matmul_f32_panels(const MatMulArgs& args, WorkRange range, const FloatForm& form) {
  const auto* base = reinterpret_cast<const std::uint8_t*>(args.weights);
  multiply_by_panels<V, F32Dot<V>>(
      args, range, f32_stride(args),
      [&](std::int64_t row, std::int64_t column, std::int64_t n, float* to) {
        const std::int64_t offset = column / form.block_weights * form.block_bytes;
        form.dequantize(base + row * args.row_bytes + offset, to, n);
      });
}

template <class V, DType kType>
void matmul_f32(const MatMulArgs& args, WorkRange range) {
  if constexpr (Format<kType>::kBlockWeights == 1) {
    if (args.n_tokens <= V::kDirectTokens) {
      return multiply_direct<V, F32Dot<V>, NumberSource<V, kType>>(args, range, f32_stride(args));
    }
  }
  matmul_f32_panels<V>(args, range, float_form<V, kType>());
}

}  // namespace
}  // namespace windlass

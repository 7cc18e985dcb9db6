// Matmul of bf16 weights with bf16 activations, and the rounding of rows to them: both sides as
// they lie in memory, products of pairs summed in f32. For inclusion by isa_*.cpp alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/float_direct_inl.h"
#include "cpu_kernels/float_tile_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

template <class V>
struct Bf16Dot {
  using Value = std::uint16_t;
  using Operand = typename V::Pairs;
  static constexpr std::int64_t kStep = 2 * V::kLanes;
  static Operand load(const std::uint16_t* from) { return V::load_pairs(from); }
  static Operand load_n(const std::uint16_t* from, std::int64_t n) {
    return V::load_pairs_n(from, n);
  }
  static void store(std::uint16_t* to, Operand value) { V::store_pairs(to, value); }
  static typename V::F dot(typename V::F sum, Operand weights, Operand x) {
    return V::dot_pairs(sum, weights, x);
  }
};

template <class V>
struct Bf16Source {
  static constexpr std::int64_t kWeightBytes = 2;
  static constexpr bool kWhole = false;
  static constexpr int kAhead = kTileRows, kLocality = 3;
  static typename V::Pairs load(const std::uint8_t* from) {
    return V::load_pairs(reinterpret_cast<const std::uint16_t*>(from));
  }
  static typename V::Pairs load_n(const std::uint8_t* from, std::int64_t n) {
    return V::load_pairs_n(reinterpret_cast<const std::uint16_t*>(from), n);
  }
};

// Numbers between tokens.
inline std::int64_t bf16_stride(const MatMulArgs& args) {
  return (args.x_stride_bytes > 0 ? args.x_stride_bytes : bf16_row_bytes(args.n_in)) / 2;
}

template <class V>
void matmul_bf16(const MatMulArgs& args, WorkRange range) {
  if (args.n_tokens <= V::kDirectTokens) {
    return multiply_direct<V, Bf16Dot<V>, Bf16Source<V>>(args, range, bf16_stride(args));
  }
  const auto* base = reinterpret_cast<const std::uint8_t*>(args.weights);
  multiply_by_panels<V, Bf16Dot<V>>(
      args, range, bf16_stride(args),
      [&](std::int64_t row, std::int64_t column, std::int64_t n, std::uint16_t* to) {
        const std::uint8_t* from = base + row * args.row_bytes + column * 2;
        std::int64_t i = 0;
        for (; i + 2 * V::kLanes <= n; i += 2 * V::kLanes) {
          V::store_pairs(to + i, Bf16Source<V>::load(from + 2 * i));
        }
        if (i < n) V::store_pairs(to + i, Bf16Source<V>::load_n(from + 2 * i, n - i));
      });
}

// Zeros up to the end of the row.
template <class V>
void round_rows(const QuantizeRowsArgs& args, WorkRange range) {
  const std::int64_t stride = args.in_stride > 0 ? args.in_stride : args.width;
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    const float* in = args.in + row * stride;
    auto* out = reinterpret_cast<std::uint16_t*>(args.out + row * bf16_row_bytes(args.width));
    for (std::int64_t i = 0; i < bf16_row_bytes(args.width) / 2; i += V::kLanes) {
      V::store_bf16(out + i, V::load_n(in + i, larger(args.width - i, 0)));
    }
  }
}

}  // namespace
}  // namespace windlass

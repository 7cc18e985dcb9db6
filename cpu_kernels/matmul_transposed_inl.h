// Matmul with a matrix stored [n_in, n_out], as GPT-2's checkpoints and DeepSeek's latent attention
// have them: rows of the matrix, scaled by one activation each, add up in registers; of types with
// blocks in memory. For inclusion by isa_*.cpp alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/common_inl.h"
#include "cpu_kernels/formats_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

inline constexpr int kTransposedTokens = 4;

// T tokens by D vectors of columns, from `column` on; the last vector may be a part.
template <class V, DType kType, int T, int D>
inline void transposed_tile(const MatMulTransposedArgs& args, std::int64_t token,
                            std::int64_t column, std::int64_t n_columns) {
  const std::uint8_t* weights =
      reinterpret_cast<const std::uint8_t*>(args.weights) + column * Format<kType>::kBlockBytes;
  const float* x = args.x + token * args.x_stride;
  float* out = args.out + token * args.out_stride + column;
  typename V::F sum[T][D];
  for (int t = 0; t < T; ++t) {
    for (int d = 0; d < D; ++d) {
      const std::int64_t at = d * V::kLanes;
      sum[t][d] =
          args.accumulate ? V::load_n(out + t * args.out_stride + at, n_columns - at) : V::zero();
    }
  }
  alignas(64) float row[D * V::kLanes] = {};
  for (std::int64_t i = 0; i < args.n_in; ++i, weights += args.row_bytes) {
    Format<kType>::template dequantize<V>(weights, row, n_columns);
    for (int t = 0; t < T; ++t) {
      const typename V::F value = V::set1(x[t * args.x_stride + i]);
      for (int d = 0; d < D; ++d) {
        sum[t][d] = V::fma(V::load(row + d * V::kLanes), value, sum[t][d]);
      }
    }
  }
  for (int t = 0; t < T; ++t) {
    for (int d = 0; d < D; ++d) {
      const std::int64_t at = d * V::kLanes;
      V::store_n(out + t * args.out_stride + at, sum[t][d], n_columns - at);
    }
  }
}

template <class V, DType kType, int D>
inline void transposed_columns(const MatMulTransposedArgs& args, std::int64_t column,
                               std::int64_t n_columns) {
  std::int64_t t = 0;
  for (; t + kTransposedTokens <= args.n_tokens; t += kTransposedTokens) {
    transposed_tile<V, kType, kTransposedTokens, D>(args, t, column, n_columns);
  }
  for (; t < args.n_tokens; ++t) transposed_tile<V, kType, 1, D>(args, t, column, n_columns);
}

// Of weights in blocks, so many columns at a time: whole blocks of every type.
inline constexpr std::int64_t kTransposedColumns = 256;

// Columns of range, all of the same kTransposedColumns: a row of them becomes floats, and every
// token takes it in, in memory. The same sums as of plain types, in the same order.
template <class V>
inline void transposed_blocks(const MatMulTransposedArgs& args, WorkRange range,
                              const FloatForm& form) {
  alignas(64) float row[kTransposedColumns];
  const std::int64_t first = range.begin / kTransposedColumns * kTransposedColumns;
  const std::int64_t n = smaller(kTransposedColumns, args.n_out - first);
  const std::uint8_t* weights = reinterpret_cast<const std::uint8_t*>(args.weights) +
                                first / form.block_weights * form.block_bytes;
  for (std::int64_t i = 0; i < args.n_in; ++i, weights += args.row_bytes) {
    form.dequantize(weights, row, n);
    const bool add = args.accumulate || i > 0;
    for (std::int64_t t = 0; t < args.n_tokens; ++t) {
      const typename V::F value = V::set1(args.x[t * args.x_stride + i]);
      float* out = args.out + t * args.out_stride;
      for (std::int64_t c = range.begin; c < range.end; c += V::kLanes) {
        const std::int64_t left = range.end - c;
        const typename V::F sum = add ? V::load_n(out + c, left) : V::zero();
        V::store_n(out + c, V::fma(V::load_n(row + c - first, left), value, sum), left);
      }
    }
  }
}

template <class V, DType kType>
void matmul_transposed(const MatMulTransposedArgs& args, WorkRange range) {
  if constexpr (Format<kType>::kBlockWeights > 1) {
    for (std::int64_t begin = range.begin; begin < range.end;) {
      const std::int64_t next = (begin / kTransposedColumns + 1) * kTransposedColumns;
      const std::int64_t end = smaller(range.end, next);
      transposed_blocks<V>(args, {begin, end}, float_form<V, kType>());
      begin = end;
    }
    return;
  }
  std::int64_t column = range.begin;
  for (; column + 3 * V::kLanes < range.end; column += 4 * V::kLanes) {
    transposed_columns<V, kType, 4>(args, column, smaller(4 * V::kLanes, range.end - column));
  }
  for (; column < range.end; column += V::kLanes) {
    transposed_columns<V, kType, 1>(args, column, smaller(V::kLanes, range.end - column));
  }
}

}  // namespace
}  // namespace windlass

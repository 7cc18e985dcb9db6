// The ops again, in plain double-precision loops that share no code with the kernels: what the
// contract tests compare with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/base/dtype.h"
#include "src/ops/op_args.h"

namespace windlass::test {

// Weights of one row in the layout of `type`, to the float values that the format defines
// (bit-exact). Types other than F32, F16, BF16, Q4_0, Q4_1 and Q8_0 are dequantised by the scalar
// op table, which tests/golden/quants pins down.
std::vector<float> reference_dequantize(DType type, const std::byte* row, std::int64_t n);

// The q8 form of one row (op_args.h) and back.
struct Q8Reference {
  std::vector<std::int8_t> values;  // [blocks * 32]
  std::vector<float> scales;        // [blocks]
};
Q8Reference reference_quantize(const float* row, std::int64_t width);
std::vector<double> reference_q8_values(const std::byte* q8_row, std::int64_t width);

// out[t * n_out + r]; each dot product's rounding error is a few 2^-53 of `norm`.
struct ProductReference {
  std::vector<double> out;   // [n_tokens, n_out]
  std::vector<double> norm;  // [n_tokens, n_out]: |w| |x|, the scale of a product's error
};
ProductReference reference_matmul(DType type, const std::byte* weights, std::int64_t row_bytes,
                                  std::int64_t n_out, std::int64_t n_in,
                                  const std::vector<double>& x, std::int64_t n_tokens);

// [rows, vectors, width]
std::vector<double> reference_rms_norm(const NormArgs& args);
std::vector<double> reference_layer_norm(const NormArgs& args);
// [rows, width]
std::vector<double> reference_activate(Activation activation, const ActivateArgs& args);
// [n_tokens, n_out], not accumulated.
std::vector<double> reference_matmul_transposed(DType type, const MatMulTransposedArgs& args);
// [tokens, heads, dims]: what the rotated elements become. REQUIRES: args.x holds the input.
std::vector<double> reference_rope(const RopeArgs& args);

// How a page holds keys and values.
struct PageShape {
  std::int64_t kv_heads, key_dim, value_dim, page_tokens;
  KvTypes types;
};
// The key or value of one head at one slot of a page list, as doubles.
std::vector<double> reference_kv_row(const PageShape& shape, const std::byte* const* pages,
                                     std::int64_t slot, std::int64_t kv_head, bool is_value);
// [tokens, heads, value_dim]
std::vector<double> reference_attention(const AttentionArgs& args);

}  // namespace windlass::test

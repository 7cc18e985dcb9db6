// A product of random weights and activations, for the contract tests of matmuls.
#pragma once

#include <vector>

#include "src/base/units.h"
#include "tests/op_tables/backends.h"

namespace windlass::test {

struct Shape {
  std::int64_t n_out, n_in, n_tokens, misalignment;
};

// At least n, in whole blocks.
inline std::int64_t width_of(DType type, std::int64_t n) {
  return align_up(n, dtype_info(type).block_weights);
}

// Types of which each stands for those of its kind of codes and scales.
inline bool stands_for_kind(DType type) {
  return type == DType::kF32 || type == DType::kQ4_0 || type == DType::kQ8_0 ||
         type == DType::kQ2_K || type == DType::kQ5_K || type == DType::kQ6_K;
}

// Weights and activations of one product. REQUIRES: the table has it.
struct MatMulCase {
  MatMulCase(const OpTable& table, DType type, Form activations, const Shape& size,
             std::uint32_t seed)
      : MatMulCase(table, type, activations, size, Random(seed)) {}

  // With those activations [n_tokens, n_in] instead.
  void take(const OpTable& table, std::vector<float> values) {
    x = std::move(values);
    rows = in_form(table, form, x, shape.n_tokens, shape.n_in);
  }

  // Of `n_tokens` tokens from `first_token` on, into out [n_tokens, n_out].
  MatMulArgs args(float* out, std::int64_t first_token, std::int64_t n_tokens) const {
    return {weights.data,
            weights.row_bytes,
            shape.n_out,
            shape.n_in,
            rows.data() + first_token * form_row_bytes(form, shape.n_in),
            n_tokens,
            out,
            shape.n_out,
            false};
  }
  std::vector<float> products(std::int64_t first_token, std::int64_t n_tokens) const {
    std::vector<float> out(at(n_tokens * shape.n_out));
    function(args(out.data(), first_token, n_tokens), {0, shape.n_out});
    return out;
  }
  std::vector<float> products() const { return products(0, shape.n_tokens); }

  Form form;
  Shape shape;
  MatMulFunction function;
  Weights weights;
  std::vector<float> x;         // [n_tokens, n_in]
  std::vector<std::byte> rows;  // the same in their form

 private:
  MatMulCase(const OpTable& table, DType type, Form activations, const Shape& size, Random random)
      : form(activations),
        shape(size),
        function(mat_mul_function(table, activations, type)),
        weights(type, size.n_out, size.n_in, size.misalignment, &random) {
    take(table, random.gauss_vector(size.n_tokens * size.n_in));
  }
};

}  // namespace windlass::test

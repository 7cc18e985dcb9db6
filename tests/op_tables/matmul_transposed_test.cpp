// Products with matrices stored [n_in, n_out], of every op table.
#include "tests/op_tables/backends.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

struct TransposedProblem {
  TransposedProblem(DType type, std::int64_t n_in, std::int64_t n_out, std::int64_t n_tokens)
      : random(static_cast<std::uint32_t>(n_in * 100 + n_out)),
        weights(type, n_in, n_out, 2, &random),
        x(random.gauss_vector(n_tokens * (n_in + 3))),
        out(at(n_tokens * (n_out + 1)), 1.0f),
        args{weights.data, weights.row_bytes, n_out,      n_in,      x.data(),
             n_in + 3,     n_tokens,          out.data(), n_out + 1, false} {}
  std::vector<float> columns() const {
    std::vector<float> values;
    for (std::int64_t t = 0; t < args.n_tokens; ++t) {
      const float* row = out.data() + t * args.out_stride;
      values.insert(values.end(), row, row + args.n_out);
      CHECK(row[args.n_out] == 1.0f);  // beside the product
    }
    return values;
  }
  Random random;
  Weights weights;
  std::vector<float> x, out;
  MatMulTransposedArgs args;
};

}  // namespace

TEST_CASE("a transposed product equals its double-precision form, also added to what is there") {
  for (const Backend& backend : backends()) {
    for (const DType type : matmul_types()) {
      const auto function = backend.ops.matmul_transposed[static_cast<int>(type)];
      if (function == nullptr) continue;
      const std::int64_t block = dtype_info(type).block_weights;
      std::vector<std::int64_t> sizes = {1, 7, 16, 33, 64, 131};
      if (block > 1) sizes = {block, 256, 256 + block, 768};
      for (const std::int64_t n_out : sizes) {
        for (const std::int64_t n_tokens : {1, 3, 4, 6, 11}) {
          TransposedProblem problem(type, 41, n_out, n_tokens);
          std::vector<double> expected = reference_matmul_transposed(type, problem.args);
          INFO(backend.name << ' ' << dtype_info(type).name << " n_out " << n_out << " tokens "
                            << n_tokens);
          function(problem.args, {0, n_out});
          check_close(problem.columns(), expected, 1e-6, 2e-5);
          problem.args.accumulate = true;
          function(problem.args, {0, n_out});
          for (double& value : expected) value *= 2;
          check_close(problem.columns(), expected, 1e-6, 4e-5);
        }
      }
    }
  }
}

TEST_CASE("a transposed product has the same bits however its rows, columns and tokens are cut") {
  for (const Backend& backend : backends()) {
    const auto function = backend.ops.matmul_transposed[static_cast<int>(DType::kF16)];
    constexpr std::int64_t kIn = 90, kOut = 150, kTokens = 6;
    TransposedProblem whole(DType::kF16, kIn, kOut, kTokens), cut(DType::kF16, kIn, kOut, kTokens);
    function(whole.args, {0, kOut});
    for (std::int64_t row = 0; row < kIn; row += 32) {
      MatMulTransposedArgs part = cut.args;
      part.weights += row * part.row_bytes;
      part.x += row;
      part.n_in = std::min<std::int64_t>(32, kIn - row);
      part.accumulate = row > 0;
      function(part, {0, 13});
      function(part, {13, 128});
      function(part, {128, kOut});
    }
    REQUIRE(cut.columns() == whole.columns());
    for (std::int64_t t = 0; t < kTokens; ++t) {
      MatMulTransposedArgs one = cut.args;
      one.x += t * one.x_stride;
      one.out += t * one.out_stride;
      one.n_tokens = 1;
      function(one, {0, kOut});
    }
    REQUIRE(cut.columns() == whole.columns());
  }
}

TEST_CASE("a transposed product of blocks has the same bits however it is cut") {
  for (const Backend& backend : backends()) {
    for (const DType type : {DType::kQ4_0, DType::kQ4_K}) {
      const auto function = backend.ops.matmul_transposed[static_cast<int>(type)];
      if (function == nullptr) continue;
      constexpr std::int64_t kIn = 50, kOut = 512, kTokens = 3;
      TransposedProblem whole(type, kIn, kOut, kTokens), cut(type, kIn, kOut, kTokens);
      function(whole.args, {0, kOut});
      for (std::int64_t row = 0; row < kIn; row += 32) {
        MatMulTransposedArgs part = cut.args;
        part.weights += row * part.row_bytes;
        part.x += row;
        part.n_in = std::min<std::int64_t>(32, kIn - row);
        part.accumulate = row > 0;
        function(part, {0, 13});
        function(part, {13, 300});
        function(part, {300, kOut});
      }
      REQUIRE(cut.columns() == whole.columns());
    }
  }
}

}  // namespace windlass::test

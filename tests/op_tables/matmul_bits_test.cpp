// What changes no bit of a matmul, on every op table: how rows are split, and which other tokens
// there are.
#include "tests/op_tables/matmul_case.h"

namespace windlass::test {
namespace {

// The product's rows by calls of 1, 3, 5, .. of them.
std::vector<float> split_products(const MatMulCase& product) {
  const std::int64_t n_out = product.shape.n_out;
  std::vector<float> out(at(product.shape.n_tokens * n_out));
  const MatMulArgs args = product.args(out.data(), 0, product.shape.n_tokens);
  for (std::int64_t begin = 0, step = 1; begin < n_out; begin += step, step = step % 13 + 2) {
    product.function(args, {begin, std::min(n_out, begin + step)});
  }
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("any split of the rows gives the same bits") {
  for (const Backend& backend : backends()) {
    for (const DType type : matmul_types()) {
      for (const std::int64_t n_tokens : {1, 2, 7, 9}) {
        // Products of many tokens are emulated slowly, and have one body for a kind.
        if (backend.is_gpu && n_tokens > 1 && !stands_for_kind(type)) continue;
        for (const Form form : kForms) {
          if (mat_mul_function(backend.ops, form, type) == nullptr) continue;
          const MatMulCase product(backend.ops, type, form, {77, width_of(type, 1120), n_tokens, 1},
                                   5);
          INFO(backend.name << ' ' << dtype_info(type).name << " tokens " << n_tokens << ' '
                            << form_name(form));
          REQUIRE(same_bits(product.products(), split_products(product)));
        }
      }
    }
  }
}

TEST_CASE("one token and any number of tokens give the same bits") {
  for (const Backend& backend : backends()) {
    for (const DType type : matmul_types()) {
      for (const Form form : kForms) {
        if (mat_mul_function(backend.ops, form, type) == nullptr) continue;
        const std::int64_t n_in = width_of(type, 2400);  // two cuts of every sum
        const MatMulCase product(backend.ops, type, form, {35, n_in, 19, 1}, 6);
        std::vector<float> alone;
        for (std::int64_t t = 0; t < product.shape.n_tokens; ++t) {
          const std::vector<float> one = product.products(t, 1);
          alone.insert(alone.end(), one.begin(), one.end());
        }
        for (const std::int64_t n_tokens : {2, 3, 4, 5, 6, 7, 8, 9, 14, 16, 19}) {
          // As above; all types have their turn at other numbers.
          if (backend.is_gpu && !stands_for_kind(type) && n_tokens != 4 && n_tokens != 9) continue;
          const std::vector<float> expected(alone.begin(),
                                            alone.begin() + n_tokens * product.shape.n_out);
          INFO(backend.name << ' ' << dtype_info(type).name << ' ' << form_name(form) << " tokens "
                            << n_tokens);
          REQUIRE(same_bits(product.products(0, n_tokens), expected));
        }
      }
    }
  }
}

TEST_CASE("activations beyond a cache give the bits of few") {
  for (const Backend& backend : backends()) {
    for (const DType type : {DType::kQ4_0, DType::kQ6_K, DType::kQ4_K, DType::kQ2_K}) {
      if (mat_mul_function(backend.ops, Form::kQ8, type) == nullptr) continue;
      const MatMulCase product(backend.ops, type, Form::kQ8, {70, 1280, 260, 1}, 10);
      REQUIRE(product.rows.size() > 512 << 10);
      const std::vector<float> few = product.products(0, 15);
      std::vector<float> many = product.products();
      many.resize(few.size());
      INFO(backend.name << ' ' << dtype_info(type).name);
      REQUIRE(same_bits(many, few));
    }
  }
}

TEST_CASE("accumulate adds the product to what the output holds") {
  for (const Backend& backend : backends()) {
    for (const DType type : matmul_types()) {
      for (const std::int64_t n_tokens : {1, 5, 13, 67}) {
        if (n_tokens > 13 && type != DType::kQ8_0 && type != DType::kF16) continue;
        for (const Form form : kForms) {
          if (mat_mul_function(backend.ops, form, type) == nullptr) continue;
          const MatMulCase product(backend.ops, type, form, {37, width_of(type, 1088), n_tokens, 0},
                                   7);
          const std::vector<float> plain = product.products();
          std::vector<float> added(plain.size(), 1000.0f);
          MatMulArgs args = product.args(added.data(), 0, n_tokens);
          args.accumulate = true;
          product.function(args, {0, product.shape.n_out});
          INFO(backend.name << ' ' << dtype_info(type).name << ' ' << form_name(form) << " tokens "
                            << n_tokens);
          for (std::size_t i = 0; i < plain.size(); ++i) {
            REQUIRE(added[i] == Approx(plain[i] + 1000.0f).margin(0.01));
          }
        }
      }
    }
  }
}

}  // namespace windlass::test

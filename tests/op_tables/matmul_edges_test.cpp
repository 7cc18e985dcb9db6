// Matmuls of every op table at the edges: extreme codes, numbers that are none, the last byte.
#include <sys/mman.h>

#include "tests/op_tables/matmul_case.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

// Numbers of tokens for which GPUs have kernels of their own.
std::vector<std::int64_t> token_counts(const Backend& backend, DType type) {
  if (backend.is_gpu && stands_for_kind(type)) return {1, 3, 10, 66};
  return {1, 3};
}

// All bytes of the weights alike, but for their scales.
void fill_weights(DType type, const MatMulCase& product, int byte, float value) {
  const std::int64_t bytes = product.shape.n_out * product.weights.row_bytes;
  std::memset(product.weights.data, byte, at(bytes));
  for (std::int64_t i = 0; i < bytes; i += dtype_info(type).block_bytes) {
    set_scales(type, product.weights.data + i, value);
  }
}

}  // namespace

TEST_CASE("extreme 8-bit values do not saturate the integer sums") {
  // Q8_0 weights of -128 and codes of all ones against activations of +-127, in every sign pattern
  // of a pair.
  for (const Backend& backend : backends()) {
    for (const DType type : int8_types()) {
      if (mat_mul_function(backend.ops, Form::kQ8, type) == nullptr) continue;
      for (const int pattern : {0, 1, 2, 3}) {
        for (const std::int64_t n_tokens : token_counts(backend, type)) {
          const Shape shape = {3, width_of(type, 64), n_tokens, 0};
          MatMulCase product(backend.ops, type, Form::kQ8, shape, 8);
          fill_weights(type, product, type == DType::kQ8_0 ? 0x80 : 0xff, 1.5f);
          std::vector<float> x(product.x.size());
          for (std::size_t i = 0; i < x.size(); ++i) {
            x[i] = (pattern >> (i % 2)) % 2 == 0 ? 3.0f : -3.0f;
          }
          product.take(backend.ops, x);
          const std::vector<float> out = product.products();
          const ProductReference reference =
              reference_matmul(type, product.weights.data, product.weights.row_bytes, shape.n_out,
                               shape.n_in, {x.begin(), x.end()}, n_tokens);
          for (std::size_t i = 0; i < out.size(); ++i) {
            INFO(backend.name << ' ' << dtype_info(type).name << " pattern " << pattern
                              << " tokens " << n_tokens);
            REQUIRE(std::abs(out[i] - reference.out[i]) <= 1e-5 * reference.norm[i]);
          }
        }
      }
    }
  }
}

TEST_CASE("a NaN or infinity in the activations stays visible in the product") {
  for (const Backend& backend : backends()) {
    for (const DType type : int8_types()) {
      if (mat_mul_function(backend.ops, Form::kQ8, type) == nullptr) continue;
      for (const float bad : {NAN, INFINITY, -INFINITY}) {
        for (const std::int64_t n_tokens : token_counts(backend, type)) {
          const Shape shape = {5, width_of(type, 96), n_tokens, 0};
          MatMulCase product(backend.ops, type, Form::kQ8, shape, 9);
          std::vector<float> x = product.x;
          x[40] = bad;
          product.take(backend.ops, x);
          const std::vector<float> out = product.products();
          INFO(backend.name << ' ' << dtype_info(type).name << " tokens " << n_tokens);
          for (std::int64_t i = 0; i < std::ssize(out); ++i) {
            REQUIRE((i < shape.n_out ? std::isnan(out[at(i)]) : std::isfinite(out[at(i)])));
          }
        }
      }
    }
  }
}

TEST_CASE("blocks of zeros and of denormal numbers add nothing") {
  for (const Backend& backend : backends()) {
    for (const DType type : int8_types()) {
      if (mat_mul_function(backend.ops, Form::kQ8, type) == nullptr) continue;
      for (const std::int64_t n_tokens : token_counts(backend, type)) {
        // 64 weights of one after the other: zeros, then denormal numbers, then ones.
        const Shape shape = {2, width_of(type, 192), n_tokens, 0};
        MatMulCase product(backend.ops, type, Form::kQ8, shape, 12);
        std::vector<float> x(product.x.size());
        for (std::int64_t i = 0; i < std::ssize(x); ++i) {
          const std::int64_t column = i % shape.n_in;
          x[at(i)] = column < 64 ? 0.0f : column < 128 ? 1e-40f : 1.0f;
        }
        product.take(backend.ops, x);
        const std::vector<float> out = product.products();
        std::vector<double> seen(x.begin(), x.end());
        for (double& value : seen) value = value < 1 ? 0 : 1;
        const ProductReference reference =
            reference_matmul(type, product.weights.data, product.weights.row_bytes, shape.n_out,
                             shape.n_in, seen, n_tokens);
        for (std::size_t i = 0; i < out.size(); ++i) {
          INFO(backend.name << ' ' << dtype_info(type).name << " tokens " << n_tokens);
          REQUIRE(std::abs(out[i] - reference.out[i]) <= 2e-6 * reference.norm[i]);
        }
      }
    }
  }
}

TEST_CASE("no byte past the last row is read") {
  // The rows end where a page that may not be touched begins.
  constexpr std::int64_t kPage = 4096, kOut = 3;
  auto* pages = static_cast<std::byte*>(
      ::mmap(nullptr, 33 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  REQUIRE(pages != MAP_FAILED);
  std::byte* const end = pages + 32 * kPage;
  REQUIRE(::mprotect(end, kPage, PROT_NONE) == 0);
  for (const Backend& backend : backends()) {
    if (backend.is_gpu) continue;  // such pages are out of a card's reach
    const OpTable& table = backend.ops;
    for (const DType type : matmul_types()) {
      const std::int64_t n_in = width_of(type, 96), bytes = row_bytes(type, n_in);
      Random random(3);
      for (std::int64_t r = 1; r <= kOut; ++r) random_row(type, end - r * bytes, n_in, &random);
      constexpr std::int64_t kMost = 13;
      const std::vector<float> x = random.gauss_vector(kMost * n_in);
      std::vector<float> out(at(std::max(kMost * kOut, n_in)));
      for (const Form form : kForms) {
        const MatMulFunction function = mat_mul_function(table, form, type);
        if (function == nullptr) continue;
        const std::vector<std::byte> rows = in_form(table, form, x, kMost, n_in);
        for (const std::int64_t n_tokens : {std::int64_t{1}, std::int64_t{2}, kMost}) {
          function({end - kOut * bytes, bytes, kOut, n_in, rows.data(), n_tokens, out.data(), kOut,
                    false},
                   {0, kOut});
        }
      }
      const std::byte* last = end - bytes;
      table.dequantize_rows[static_cast<int>(type)]({&last, out.data(), 1, n_in}, {0, 1});
    }
  }
  ::munmap(pages, 33 * kPage);
}

}  // namespace windlass::test

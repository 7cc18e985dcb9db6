// Matmuls of every op table against double-precision products, over odd shapes and addresses.
#include <sys/mman.h>

#include "src/base/units.h"
#include "tests/op_tables/backends.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

struct Shape {
  std::int64_t n_out, n_in, n_tokens, misalignment;
};

// All of these for a body that a type has for itself; a few for one that it shares with others.
std::vector<Shape> shapes(std::int64_t block, bool all_shapes) {
  std::vector<Shape> all;
  const std::int64_t most = all_shapes ? 36 : 3;
  for (std::int64_t blocks = 1; blocks <= most; ++blocks) {  // past two panels of 16 blocks
    all.push_back({5, blocks * block, 1 + blocks % 3, blocks % 3});
  }
  if (block == 1) {
    for (const std::int64_t n_in : {63, 1023, 1024, 1025, 2500}) all.push_back({6, n_in, 3, 2});
  }
  const std::int64_t n_in = block > 64 ? 768 : 576;
  if (!all_shapes) {
    all.push_back({31, n_in, 3, 1});
    all.push_back({70, n_in, 7, 2});
    return all;
  }
  for (const std::int64_t n_tokens : {1, 2, 3, 7, 16, 17, 65}) {
    for (const std::int64_t n_out : {1, 31, 32, 70}) {
      all.push_back({n_out, n_in, n_tokens, n_tokens % 3});
    }
  }
  return all;
}

// At least n, in whole blocks.
std::int64_t width_of(DType type, std::int64_t n) {
  return align_up(n, dtype_info(type).block_weights);
}

struct Product {
  std::vector<float> out;
  ProductReference reference;    // with the activations that the kernel saw
  ProductReference unquantised;  // with the float activations
};

// What one row of activations in that form stands for.
std::vector<double> values_of(Form form, const std::byte* row, std::int64_t width) {
  if (form == Form::kQ8) return reference_q8_values(row, width);
  std::vector<double> values(at(width));
  for (std::int64_t i = 0; i < width; ++i) {
    std::uint16_t half = 0;
    float value = 0;
    std::memcpy(&half, row + 2 * i, 2);
    if (form == Form::kF32) std::memcpy(&value, row + 4 * i, 4);
    values[at(i)] = form == Form::kF32 ? value : f32_from_bf16(half);
  }
  return values;
}

Product multiply(const OpTable& table, DType type, Form form, const Shape& shape) {
  Random random(static_cast<std::uint32_t>(shape.n_in * 131 + shape.n_out * 7 + shape.n_tokens));
  const Weights weights(type, shape.n_out, shape.n_in, shape.misalignment, &random);
  const std::vector<float> x = random.gauss_vector(shape.n_tokens * shape.n_in);
  const std::vector<std::byte> rows = in_form(table, form, x, shape.n_tokens, shape.n_in);
  std::vector<double> seen;
  for (std::int64_t t = 0; t < shape.n_tokens; ++t) {
    const auto values =
        values_of(form, rows.data() + t * form_row_bytes(form, shape.n_in), shape.n_in);
    seen.insert(seen.end(), values.begin(), values.end());
  }
  const std::int64_t stride = shape.n_out + 3;
  Product product;
  product.out.assign(at(shape.n_tokens * stride), -7.0f);
  const MatMulArgs args = {weights.data,   weights.row_bytes,  shape.n_out, shape.n_in, rows.data(),
                           shape.n_tokens, product.out.data(), stride,      false};
  const MatMulFunction function = mat_mul_function(table, form, type);
  REQUIRE(function != nullptr);
  function(args, {0, shape.n_out});
  product.reference = reference_matmul(type, weights.data, weights.row_bytes, shape.n_out,
                                       shape.n_in, seen, shape.n_tokens);
  product.unquantised = reference_matmul(type, weights.data, weights.row_bytes, shape.n_out,
                                         shape.n_in, {x.begin(), x.end()}, shape.n_tokens);
  return product;
}

void check_product(const Product& product, const Shape& shape, double tolerance) {
  for (std::int64_t t = 0; t < shape.n_tokens; ++t) {
    const float* row = product.out.data() + t * (shape.n_out + 3);
    for (std::int64_t r = 0; r < shape.n_out; ++r) {
      const std::size_t i = at(t * shape.n_out + r);
      INFO("token " << t << " row " << r << " is " << row[r] << ", expected "
                    << product.reference.out[i]);
      REQUIRE(std::abs(row[r] - product.reference.out[i]) <=
              tolerance * product.reference.norm[i] + 1e-30);
    }
    for (std::int64_t i = 0; i < 3; ++i)
      REQUIRE(row[shape.n_out + i] == -7.0f);  // between tokens: untouched
  }
}

// Error of 8-bit activations against float ones, relative to the norm, over the whole product.
double relative_error(const Product& product, const Shape& shape) {
  double error = 0, norm = 0;
  for (std::int64_t t = 0; t < shape.n_tokens; ++t) {
    for (std::int64_t r = 0; r < shape.n_out; ++r) {
      const std::size_t i = at(t * shape.n_out + r);
      error += std::pow(product.out[at(t * (shape.n_out + 3) + r)] - product.unquantised.out[i], 2);
      norm += std::pow(product.unquantised.norm[i], 2);
    }
  }
  return std::sqrt(error / norm);
}

}  // namespace

TEST_CASE("a product with float activations equals the double-precision product") {
  for (const Backend& backend : backends()) {
    for (const DType type : matmul_types()) {
      if (mat_mul_function(backend.ops, Form::kF32, type) == nullptr) continue;
      const std::int64_t block = dtype_info(type).block_weights;
      for (const Shape& shape : shapes(block, block == 1 || type == DType::kQ4_0)) {
        INFO(backend.name << ' ' << dtype_info(type).name << " n_out " << shape.n_out << " n_in "
                          << shape.n_in << " tokens " << shape.n_tokens);
        check_product(multiply(backend.ops, type, Form::kF32, shape), shape, 1e-6);
      }
    }
  }
}

TEST_CASE("a product with q8 activations equals the product of the dequantised values") {
  // One for each kind of codes and scales.
  constexpr DType kOwn[] = {DType::kQ4_0, DType::kQ8_0, DType::kQ2_K, DType::kQ5_K, DType::kQ6_K};
  for (const Backend& backend : backends()) {
    for (const DType type : int8_types()) {
      if (mat_mul_function(backend.ops, Form::kQ8, type) == nullptr) continue;
      const bool alone = std::find(std::begin(kOwn), std::end(kOwn), type) != std::end(kOwn);
      for (const Shape& shape : shapes(dtype_info(type).block_weights, alone)) {
        INFO(backend.name << ' ' << dtype_info(type).name << " n_out " << shape.n_out << " n_in "
                          << shape.n_in << " tokens " << shape.n_tokens);
        const Product product = multiply(backend.ops, type, Form::kQ8, shape);
        check_product(product, shape, 2e-6);
        REQUIRE(relative_error(product, shape) < 0.01);
        if (shape.n_out == 70) REQUIRE(relative_error(product, shape) < 0.005);
      }
    }
  }
}

TEST_CASE("a product with bf16 activations equals the product of the rounded values") {
  for (const Backend& backend : backends()) {
    const OpTable& table = backend.ops;
    REQUIRE((table.round_rows != nullptr) ==
            (table.matmul_bf16[static_cast<int>(DType::kBF16)] != nullptr));
    if (table.round_rows == nullptr) continue;
    for (const Shape& shape : shapes(1, true)) {
      INFO(backend.name << " n_out " << shape.n_out << " n_in " << shape.n_in << " tokens "
                        << shape.n_tokens);
      const Product product = multiply(table, DType::kBF16, Form::kBf16, shape);
      check_product(product, shape, 1e-6);
      if (shape.n_out == 70) REQUIRE(relative_error(product, shape) < 0.003);
    }
  }
}

TEST_CASE("rounding to bf16 is to the nearest, ties to even, and keeps infinities and NaN") {
  for (const Backend& backend : backends()) {
    const OpTable& table = backend.ops;
    if (table.round_rows == nullptr) continue;
    for (const std::int64_t width : widths()) {
      Random random(4);
      std::vector<float> x = random.gauss_vector(2 * width);
      x[0] = INFINITY;
      x[at(width)] = 1.0f + 0x1p-8f;                // a tie: down to even
      x[at(width - 1)] = 1.0f + 0x1p-7f + 0x1p-8f;  // a tie: up to even
      x[at(2 * width - 1)] = NAN;
      const std::vector<std::byte> rows = in_form(table, Form::kBf16, x, 2, width);
      for (std::int64_t i = 0; i < 2 * width; ++i) {
        const std::byte* row = rows.data() + i / width * bf16_row_bytes(width);
        std::uint16_t half = 0;
        std::memcpy(&half, row + i % width * 2, 2);
        INFO(backend.name << " width " << width << " element " << i << ": " << x[at(i)]);
        REQUIRE(half == bf16_from_f32(x[at(i)]));
      }
      for (std::int64_t i = 2 * width; i < bf16_row_bytes(width); ++i) {
        REQUIRE(rows[at(i)] == std::byte{0});
      }
    }
  }
}

TEST_CASE("any split of the rows gives the same bits") {
  for (const Backend& backend : backends()) {
    const OpTable& table = backend.ops;
    for (const DType type : matmul_types()) {
      for (const std::int64_t n_tokens : {1, 2, 7, 9}) {
        for (const Form form : kForms) {
          const MatMulFunction function = mat_mul_function(table, form, type);
          if (function == nullptr) continue;
          constexpr std::int64_t kOut = 77;
          const std::int64_t n_in = width_of(type, 1120);
          Random random(5);
          const Weights weights(type, kOut, n_in, 1, &random);
          const std::vector<float> x = random.gauss_vector(n_tokens * n_in);
          const std::vector<std::byte> rows = in_form(table, form, x, n_tokens, n_in);
          std::vector<float> whole(at(n_tokens * kOut)), split(at(n_tokens * kOut));
          MatMulArgs args = {weights.data, weights.row_bytes, kOut, n_in, rows.data(),
                             n_tokens,     whole.data(),      kOut, false};
          function(args, {0, kOut});
          args.out = split.data();
          for (std::int64_t begin = 0, step = 1; begin < kOut;
               begin += step, step = step % 13 + 2) {
            function(args, {begin, std::min(kOut, begin + step)});
          }
          INFO(backend.name << ' ' << dtype_info(type).name << " tokens " << n_tokens << ' '
                            << form_name(form));
          REQUIRE(std::memcmp(whole.data(), split.data(), whole.size() * 4) == 0);
        }
      }
    }
  }
}

// The products of the first `n_tokens` rows of activations.
std::vector<float> first_products(const OpTable& table, DType type, Form form,
                                  const Weights& weights, std::int64_t n_out, std::int64_t n_in,
                                  const std::byte* activations, std::int64_t n_tokens) {
  std::vector<float> out(at(n_tokens * n_out));
  const MatMulFunction function = mat_mul_function(table, form, type);
  function({weights.data, weights.row_bytes, n_out, n_in, activations, n_tokens, out.data(), n_out,
            false},
           {0, n_out});
  return out;
}

TEST_CASE("one token and any number of tokens give the same bits") {
  for (const Backend& backend : backends()) {
    const OpTable& table = backend.ops;
    for (const DType type : matmul_types()) {
      for (const Form form : kForms) {
        const MatMulFunction function = mat_mul_function(table, form, type);
        if (function == nullptr) continue;
        constexpr std::int64_t kOut = 35, kTokens = 19;
        const std::int64_t n_in = width_of(type, 2400);  // two cuts of every sum
        Random random(6);
        const Weights weights(type, kOut, n_in, 1, &random);
        const std::vector<float> x = random.gauss_vector(kTokens * n_in);
        const std::vector<std::byte> rows = in_form(table, form, x, kTokens, n_in);
        std::vector<float> alone;
        for (std::int64_t t = 0; t < kTokens; ++t) {
          const std::vector<float> one =
              first_products(table, type, form, weights, kOut, n_in,
                             rows.data() + t * form_row_bytes(form, n_in), 1);
          alone.insert(alone.end(), one.begin(), one.end());
        }
        for (const std::int64_t n_tokens : {2, 3, 4, 5, 6, 7, 8, 9, 14, 16, 19}) {
          const std::vector<float> together =
              first_products(table, type, form, weights, kOut, n_in, rows.data(), n_tokens);
          INFO(backend.name << ' ' << dtype_info(type).name << ' ' << form_name(form) << " tokens "
                            << n_tokens);
          REQUIRE(std::memcmp(together.data(), alone.data(), together.size() * 4) == 0);
        }
      }
    }
  }
}

TEST_CASE("activations beyond a cache give the bits of few") {
  for (const Backend& backend : backends()) {
    const OpTable& table = backend.ops;
    for (const DType type : {DType::kQ4_0, DType::kQ6_K}) {
      if (mat_mul_function(table, Form::kQ8, type) == nullptr) continue;
      constexpr std::int64_t kOut = 70, kIn = 1280, kTokens = 260, kFew = 15;
      Random random(10);
      const Weights weights(type, kOut, kIn, 1, &random);
      const std::vector<float> x = random.gauss_vector(kTokens * kIn);
      const std::vector<std::byte> rows = quantized(table, x, kTokens, kIn);
      REQUIRE(rows.size() > 512 << 10);
      const std::vector<float> many =
          first_products(table, type, Form::kQ8, weights, kOut, kIn, rows.data(), kTokens);
      const std::vector<float> few =
          first_products(table, type, Form::kQ8, weights, kOut, kIn, rows.data(), kFew);
      INFO(backend.name << ' ' << dtype_info(type).name);
      REQUIRE(std::memcmp(many.data(), few.data(), few.size() * 4) == 0);
    }
  }
}

TEST_CASE("accumulate adds the product to what the output holds") {
  for (const Backend& backend : backends()) {
    const OpTable& table = backend.ops;
    for (const DType type : matmul_types()) {
      for (const std::int64_t n_tokens : {1, 5, 13}) {
        for (const Form form : kForms) {
          const MatMulFunction function = mat_mul_function(table, form, type);
          if (function == nullptr) continue;
          constexpr std::int64_t kOut = 37;
          const std::int64_t n_in = width_of(type, 1088);
          Random random(7);
          const Weights weights(type, kOut, n_in, 0, &random);
          const std::vector<float> x = random.gauss_vector(n_tokens * n_in);
          const std::vector<std::byte> rows = in_form(table, form, x, n_tokens, n_in);
          std::vector<float> plain(at(n_tokens * kOut)), added(plain.size(), 1000.0f);
          MatMulArgs args = {weights.data, weights.row_bytes, kOut, n_in, rows.data(),
                             n_tokens,     plain.data(),      kOut, false};
          function(args, {0, kOut});
          args.out = added.data();
          args.accumulate = true;
          function(args, {0, kOut});
          for (std::size_t i = 0; i < plain.size(); ++i) {
            REQUIRE(added[i] == Approx(plain[i] + 1000.0f).margin(0.01));
          }
        }
      }
    }
  }
}

TEST_CASE("extreme 8-bit values do not saturate the integer sums") {
  // Q8_0 weights of -128 and codes of all ones against activations of +-127, in every sign pattern
  // of a pair.
  for (const Backend& backend : backends()) {
    const OpTable& table = backend.ops;
    for (const DType type : int8_types()) {
      if (mat_mul_function(table, Form::kQ8, type) == nullptr) continue;
      for (const int pattern : {0, 1, 2, 3}) {
        for (const std::int64_t n_tokens : {1, 3}) {
          constexpr std::int64_t kOut = 3;
          const std::int64_t n_in = width_of(type, 64);
          Random random(8);
          const Weights weights(type, kOut, n_in, 0, &random);
          const std::int64_t bytes = kOut * weights.row_bytes;
          std::memset(weights.data, type == DType::kQ8_0 ? 0x80 : 0xff, at(bytes));
          for (std::int64_t i = 0; i < bytes; i += dtype_info(type).block_bytes) {
            set_scales(type, weights.data + i, 1.5f);
          }
          std::vector<float> x(at(n_tokens * n_in));
          for (std::size_t i = 0; i < x.size(); ++i)
            x[i] = (pattern >> (i % 2)) % 2 == 0 ? 3.0f : -3.0f;
          const std::vector<std::byte> rows = quantized(table, x, n_tokens, n_in);
          std::vector<float> out(at(n_tokens * kOut));
          table.matmul_q8[static_cast<int>(type)]({weights.data, weights.row_bytes, kOut, n_in,
                                                   rows.data(), n_tokens, out.data(), kOut, false},
                                                  {0, kOut});
          const ProductReference reference = reference_matmul(
              type, weights.data, weights.row_bytes, kOut, n_in, {x.begin(), x.end()}, n_tokens);
          for (std::size_t i = 0; i < out.size(); ++i) {
            INFO(backend.name << ' ' << dtype_info(type).name << " pattern " << pattern);
            REQUIRE(std::abs(out[i] - reference.out[i]) <= 1e-5 * reference.norm[i]);
          }
        }
      }
    }
  }
}

TEST_CASE("a NaN or infinity in the activations stays visible in the product") {
  for (const Backend& backend : backends()) {
    const OpTable& table = backend.ops;
    for (const DType type : int8_types()) {
      if (mat_mul_function(table, Form::kQ8, type) == nullptr) continue;
      for (const float bad : {NAN, INFINITY, -INFINITY}) {
        for (const std::int64_t n_tokens : {1, 2}) {
          constexpr std::int64_t kOut = 5;
          const std::int64_t n_in = width_of(type, 96);
          Random random(9);
          const Weights weights(type, kOut, n_in, 0, &random);
          std::vector<float> x = random.gauss_vector(n_tokens * n_in);
          x[40] = bad;
          const std::vector<std::byte> rows = quantized(table, x, n_tokens, n_in);
          std::vector<float> out(at(n_tokens * kOut));
          table.matmul_q8[static_cast<int>(type)]({weights.data, weights.row_bytes, kOut, n_in,
                                                   rows.data(), n_tokens, out.data(), kOut, false},
                                                  {0, kOut});
          for (std::int64_t r = 0; r < kOut; ++r) REQUIRE(std::isnan(out[at(r)]));
          for (std::int64_t r = kOut; r < n_tokens * kOut; ++r) REQUIRE(std::isfinite(out[at(r)]));
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

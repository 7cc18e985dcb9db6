// Matmuls of every op table against double-precision products, over odd shapes and addresses.
#include "tests/op_tables/matmul_case.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

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
  REQUIRE(mat_mul_function(table, form, type) != nullptr);
  const MatMulCase made(
      table, type, form, shape,
      static_cast<std::uint32_t>(shape.n_in * 131 + shape.n_out * 7 + shape.n_tokens));
  std::vector<double> seen;
  for (std::int64_t t = 0; t < shape.n_tokens; ++t) {
    const auto values =
        values_of(form, made.rows.data() + t * form_row_bytes(form, shape.n_in), shape.n_in);
    seen.insert(seen.end(), values.begin(), values.end());
  }
  Product product;
  product.out.assign(at(shape.n_tokens * (shape.n_out + 3)), -7.0f);
  MatMulArgs args = made.args(product.out.data(), 0, shape.n_tokens);
  args.out_stride = shape.n_out + 3;
  made.function(args, {0, shape.n_out});
  const auto reference = [&](const std::vector<double>& x) {
    return reference_matmul(type, made.weights.data, made.weights.row_bytes, shape.n_out,
                            shape.n_in, x, shape.n_tokens);
  };
  product.reference = reference(seen);
  product.unquantised = reference({made.x.begin(), made.x.end()});
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

TEST_CASE("a product of any number of rows and tokens equals the double-precision product") {
  // Around the tiles of GPU kernels. Each type takes a seventh of these shapes.
  std::vector<Shape> all;
  for (const std::int64_t n_tokens : {1, 2, 7, 8, 9, 16, 17, 33, 64, 65, 130}) {
    for (const std::int64_t n_out : {1, 7, 33, 129}) {
      all.push_back({n_out, 160 + n_tokens % 3 * 128, n_tokens, (n_tokens + n_out) % 5});
    }
  }
  for (const Backend& backend : backends()) {
    for (const DType type : matmul_types()) {
      for (std::size_t i = static_cast<std::size_t>(type) % 7; i < all.size(); i += 7) {
        Shape shape = all[i];
        shape.n_in = width_of(type, shape.n_in + (dtype_info(type).block_weights == 1 ? 7 : 0));
        for (const Form form : {Form::kF32, Form::kQ8}) {
          if (mat_mul_function(backend.ops, form, type) == nullptr) continue;
          INFO(backend.name << ' ' << dtype_info(type).name << ' ' << form_name(form) << " n_out "
                            << shape.n_out << " n_in " << shape.n_in << " tokens "
                            << shape.n_tokens);
          check_product(multiply(backend.ops, type, form, shape), shape,
                        form == Form::kF32 ? 1e-6 : 2e-6);
        }
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

}  // namespace windlass::test

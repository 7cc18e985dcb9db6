// Products in tile registers, emulated, on every machine: indices, layouts, tails. The instructions
// themselves are tested with the other instruction sets, where there are tiles.
#include "cpu_kernels/matmul_tiles_inl.h"
#include "tests/cpu_kernels/emulated_tiles.h"
#include "tests/cpu_kernels/isa_sweep.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

struct Shape {
  std::int64_t n_out, n_in, n_tokens;
};

// Around 16 tokens, 32 rows and the 512 (q8) and 1024 (bf16) columns of a panel.
constexpr Shape kShapes[] = {{1, 32, 1},   {5, 64, 3},    {31, 544, 15},  {32, 512, 16},
                             {33, 96, 17}, {70, 576, 33}, {64, 1056, 31}, {16, 2080, 48}};

void check_product(const std::vector<float>& out, const ProductReference& reference,
                   double tolerance) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    INFO("element " << i << " is " << out[i] << ", expected " << reference.out[i]);
    REQUIRE(std::abs(out[i] - reference.out[i]) <= tolerance * reference.norm[i] + 1e-30);
  }
}

template <typename Function>
std::vector<float> product(Function function, const Weights& weights, const Shape& shape,
                           const std::byte* rows, float start = 0, std::int64_t step = 0,
                           const Q8Layout& layout = {}) {
  std::vector<float> out(at(shape.n_out * shape.n_tokens), start);
  MatMulArgs args = {weights.data,   weights.row_bytes, shape.n_out, shape.n_in, rows,
                     shape.n_tokens, out.data(),        shape.n_out, start != 0};
  args.x_stride_bytes = layout.row_bytes;
  args.x_block_bytes = layout.block_bytes;
  if (step == 0) step = shape.n_out;
  for (std::int64_t begin = 0; begin < shape.n_out; begin += step) {
    function(args, {begin, std::min(shape.n_out, begin + step)});
  }
  return out;
}

template <DType kType>
void check_q8(const Shape& shape) {
  const auto function = tile_matmul_q8<PlainLanes, kType, EmulatedTiles>;
  const OpTable& scalar = cpu_op_table(Isa::kScalar);
  Random random(static_cast<std::uint32_t>(shape.n_in + shape.n_out));
  const Weights weights(kType, shape.n_out, shape.n_in, 1, &random);
  const std::vector<float> x = random.gauss_vector(shape.n_tokens * shape.n_in);
  const std::vector<std::byte> rows = quantized(scalar, x, shape.n_tokens, shape.n_in);
  std::vector<double> seen;
  for (std::int64_t t = 0; t < shape.n_tokens; ++t) {
    const auto values = reference_q8_values(rows.data() + t * q8_row_bytes(shape.n_in), shape.n_in);
    seen.insert(seen.end(), values.begin(), values.end());
  }
  INFO(dtype_info(kType).name << " n_out " << shape.n_out << " n_in " << shape.n_in << " tokens "
                              << shape.n_tokens);
  const std::vector<float> out = product(function, weights, shape, rows.data());
  check_product(out,
                reference_matmul(kType, weights.data, weights.row_bytes, shape.n_out, shape.n_in,
                                 seen, shape.n_tokens),
                2e-6);
  REQUIRE(product(function, weights, shape, rows.data(), 0, 7) == out);
  if (shape.n_tokens > kInterleavedTo) return;
  const Q8Layout layout = q8_interleaved(shape.n_tokens);
  std::vector<std::byte> blocks(at(shape.n_tokens * q8_blocks(shape.n_in)) * sizeof(Q8Block));
  scalar.quantize_rows({x.data(), blocks.data(), shape.n_tokens, shape.n_in, 0, layout},
                       {0, shape.n_tokens});
  REQUIRE(product(function, weights, shape, blocks.data(), 0, 7, layout) == out);
}

std::vector<std::byte> bf16_rows(const std::vector<float>& x, std::int64_t n, std::int64_t width) {
  std::vector<std::byte> rows(at(n * bf16_row_bytes(width)));
  for (std::int64_t i = 0; i < n * width; ++i) {
    const std::uint16_t bits = bf16_from_f32(x[at(i)]);
    std::memcpy(rows.data() + i / width * bf16_row_bytes(width) + i % width * 2, &bits, 2);
  }
  return rows;
}

}  // namespace

TEST_CASE("products of q8 rows in emulated tiles equal the product of the dequantised values") {
  for (const Shape& shape : kShapes) {
    check_q8<DType::kQ4_0>(shape);
    check_q8<DType::kQ4_1>(shape);
    check_q8<DType::kQ8_0>(shape);
  }
}

// PlainLanes makes the same float operations as AVX-512-VNNI: where the machine has that, the bits
// must agree, and so those of AMX with few tokens and with many.
TEST_CASE("products of q8 rows in emulated tiles give the bits of AVX-512-VNNI") {
  if (!isa_present(Isa::kAvx512Vnni)) return;
  const OpTable& table = cpu_op_table(Isa::kAvx512Vnni);
  for (const Shape& shape : kShapes) {
    Random random(11);
    const Weights weights(DType::kQ4_1, shape.n_out, shape.n_in, 1, &random);
    const std::vector<float> x = random.gauss_vector(shape.n_tokens * shape.n_in);
    const std::vector<std::byte> rows = quantized(table, x, shape.n_tokens, shape.n_in);
    const auto tiles = tile_matmul_q8<PlainLanes, DType::kQ4_1, EmulatedTiles>;
    for (const float start : {0.0f, 3.0f}) {
      REQUIRE(product(tiles, weights, shape, rows.data(), start) ==
              product(table.matmul_q8[static_cast<int>(DType::kQ4_1)], weights, shape, rows.data(),
                      start));
    }
  }
}

TEST_CASE("products of bf16 rows in emulated tiles equal the product, for any n_in and split") {
  const auto function = tile_matmul_bf16<PlainLanes, EmulatedTiles>;
  for (Shape shape : kShapes) {
    for (const std::int64_t more : {0, 1, 7, 30}) {
      shape.n_in += more;
      Random random(static_cast<std::uint32_t>(shape.n_in));
      const Weights weights(DType::kBF16, shape.n_out, shape.n_in, 1, &random);
      const std::vector<float> x = random.gauss_vector(shape.n_tokens * shape.n_in);
      const std::vector<std::byte> rows = bf16_rows(x, shape.n_tokens, shape.n_in);
      std::vector<double> seen;
      for (const float value : x) seen.push_back(f32_from_bf16(bf16_from_f32(value)));
      INFO("n_out " << shape.n_out << " n_in " << shape.n_in << " tokens " << shape.n_tokens);
      const std::vector<float> out = product(function, weights, shape, rows.data());
      check_product(out,
                    reference_matmul(DType::kBF16, weights.data, weights.row_bytes, shape.n_out,
                                     shape.n_in, seen, shape.n_tokens),
                    1e-6);
      REQUIRE(product(function, weights, shape, rows.data(), 0, 5) == out);
      const std::vector<float> added = product(function, weights, shape, rows.data(), 1000);
      for (std::size_t i = 0; i < out.size(); ++i) {
        REQUIRE(added[i] == Approx(out[i] + 1000).margin(0.01));
      }
    }
  }
}

TEST_CASE("one token and many give the same bits in emulated tiles") {
  const auto function = tile_matmul_bf16<PlainLanes, EmulatedTiles>;
  const Shape shape = {37, 1100, 21};
  Random random(2);
  const Weights weights(DType::kBF16, shape.n_out, shape.n_in, 0, &random);
  const std::vector<float> x = random.gauss_vector(shape.n_tokens * shape.n_in);
  const std::vector<std::byte> rows = bf16_rows(x, shape.n_tokens, shape.n_in);
  const std::vector<float> together = product(function, weights, shape, rows.data());
  for (std::int64_t t = 0; t < shape.n_tokens; ++t) {
    const std::vector<float> alone = product(function, weights, {shape.n_out, shape.n_in, 1},
                                             rows.data() + t * bf16_row_bytes(shape.n_in));
    REQUIRE(std::memcmp(alone.data(), together.data() + t * shape.n_out, alone.size() * 4) == 0);
  }
}

}  // namespace windlass::test

// Where the activations of a product lie: apart, side by side, or interleaved, with the same bits.
#include "tests/op_tables/backends.h"

namespace windlass::test {
namespace {

// Of quantised weights times q8 rows, on top of `out`.
std::vector<float> added_product(const OpTable& table, DType type, const Weights& weights,
                                 std::int64_t n_in, const std::vector<std::byte>& x,
                                 std::int64_t n_tokens, const Q8Layout& layout,
                                 std::vector<float> out) {
  const std::int64_t n_out = std::ssize(out) / n_tokens;
  MatMulArgs args = {weights.data, weights.row_bytes, n_out, n_in, x.data(),
                     n_tokens,     out.data(),        n_out, true};
  args.x_stride_bytes = layout.row_bytes;
  args.x_block_bytes = layout.block_bytes;
  table.matmul_q8[static_cast<int>(type)](args, {0, n_out});
  return out;
}

}  // namespace

TEST_CASE("interleaved q8 rows are the same blocks, and give the same products") {
  // Every kind of scales; more columns than the tokens at hand are packed for at once.
  constexpr DType kTypes[] = {DType::kQ4_0, DType::kQ4_K, DType::kQ6_K, DType::kQ8_0};
  constexpr std::int64_t kOut = 53, kIn = 4608;
  for (const Backend& backend : backends()) {
    const OpTable& table = backend.ops;
    for (const DType type : kTypes) {
      for (const std::int64_t n : {1, 2, 5, 6, 7, 12, 13, 16}) {
        Random random(static_cast<std::uint32_t>(n));
        const Weights weights(type, kOut, kIn, 1, &random);
        const std::vector<float> x = random.gauss_vector(n * kIn);
        const std::vector<float> before = random.gauss_vector(n * kOut);
        const std::vector<std::byte> rows = quantized(table, x, n, kIn);
        const Q8Layout layout = q8_interleaved(n);
        // Not a byte more than the tokens have: what lies after them is never read.
        std::vector<std::byte> blocks(at(n * q8_blocks(kIn)) * sizeof(Q8Block));
        table.quantize_rows({x.data(), blocks.data(), n, kIn, 0, layout}, {0, n});
        INFO(backend.name << ' ' << dtype_info(type).name << " tokens " << n);
        for (std::int64_t t = 0; t < n; ++t) {
          for (std::int64_t b = 0; b < q8_blocks(kIn); ++b) {
            REQUIRE(
                std::memcmp(blocks.data() + t * layout.row_bytes + b * layout.block_bytes,
                            rows.data() + t * q8_row_bytes(kIn) + b * std::int64_t{sizeof(Q8Block)},
                            sizeof(Q8Block)) == 0);
          }
        }
        const auto products = [&](const std::vector<std::byte>& from, const Q8Layout& where) {
          return added_product(table, type, weights, kIn, from, n, where, before);
        };
        REQUIRE(products(blocks, layout) == products(rows, q8_rows(kIn)));
      }
    }
  }
}

TEST_CASE("activations and 8-bit rows that lie apart give the bits of packed ones") {
  constexpr std::int64_t kOut = 37, kIn = 96, kTokens = 6, kApart = 160;
  for (const Backend& backend : backends()) {
    const OpTable& table = backend.ops;
    Random random(3);
    const Weights weights(DType::kQ4_0, kOut, kIn, 1, &random);
    const std::vector<float> apart = random.gauss_vector(kTokens * kApart);
    std::vector<float> packed;
    for (std::int64_t t = 0; t < kTokens; ++t) {
      packed.insert(packed.end(), apart.begin() + t * kApart, apart.begin() + t * kApart + kIn);
    }
    const std::vector<std::byte> rows = quantized(table, packed, kTokens, kIn);
    std::vector<std::byte> from_apart(rows.size());
    table.quantize_rows({apart.data(), from_apart.data(), kTokens, kIn, kApart}, {0, kTokens});
    REQUIRE(from_apart == rows);
    const std::int64_t row = q8_row_bytes(kIn);
    std::vector<std::byte> rows_apart(at(kTokens * 2 * row));
    for (std::int64_t t = 0; t < kTokens; ++t) {
      std::copy_n(rows.data() + t * row, row, rows_apart.data() + t * 2 * row);
    }
    const auto product = [&](auto function, const void* x, std::int64_t stride_bytes) {
      std::vector<float> out(at(kTokens * kOut));
      function({weights.data, weights.row_bytes, kOut, kIn, x, kTokens, out.data(), kOut, false,
                stride_bytes},
               {0, kOut});
      return out;
    };
    const auto f32 = table.matmul_f32[static_cast<int>(DType::kQ4_0)];
    const auto q8 = table.matmul_q8[static_cast<int>(DType::kQ4_0)];
    REQUIRE(product(f32, apart.data(), kApart * 4) == product(f32, packed.data(), 0));
    REQUIRE(product(q8, rows_apart.data(), 2 * row) == product(q8, rows.data(), 0));
  }
}

}  // namespace windlass::test

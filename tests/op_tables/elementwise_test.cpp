// Q8 rows, KV append and dequantisation of every op table against plain references.
#include "tests/op_tables/backends.h"
#include "tests/support/npy.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

Q8Block q8_block(const std::vector<std::byte>& rows, std::int64_t row, std::int64_t width,
                 std::int64_t b) {
  Q8Block block;
  std::memcpy(&block, rows.data() + row * q8_row_bytes(width) + b * std::int64_t{sizeof block},
              sizeof block);
  return block;
}

}  // namespace

TEST_CASE("q8 rows equal the reference, with zeros in all padding") {
  for (const Backend& backend : backends()) {
    for (const std::int64_t width : widths()) {
      Random random(static_cast<std::uint32_t>(width));
      constexpr std::int64_t kRows = 2;
      const std::vector<float> x = random.gauss_vector(kRows * width, 3.0f);
      std::vector<std::byte> rows(at(kRows * q8_row_bytes(width)), std::byte{0xee});
      backend.ops.quantize_rows({x.data(), rows.data(), kRows, width}, {0, kRows});
      INFO(backend.name << " width " << width);
      for (std::int64_t row = 0; row < kRows; ++row) {
        const Q8Reference expected = reference_quantize(x.data() + row * width, width);
        for (std::int64_t b = 0; b < q8_blocks(width); ++b) {
          const Q8Block block = q8_block(rows, row, width, b);
          REQUIRE(block.scale == expected.scales[at(b)]);
          int sums[2] = {};
          for (std::int64_t i = 0; i < 32; ++i) {
            REQUIRE(int{block.values[i]} == expected.values[at(b * 32 + i)]);
            sums[i / 16] += block.values[i];
          }
          const int sum = sums[0] + sums[1];
          REQUIRE(block.scale_sum == block.scale * static_cast<float>(sum));
          REQUIRE(block.start == kQ8Magic - 128 * sum);
          for (int half = 0; half < 2; ++half) {
            REQUIRE(block.half_sums[half] == block.scale * static_cast<float>(sums[half]));
            REQUIRE(block.half_starts[half] == kQ8Magic - 128 * sums[half]);
          }
          REQUIRE(block.unused == 0);
        }
      }
    }
  }
}

TEST_CASE(
    "q8 blocks of zeros, constants, denormals and huge values are sane; NaN and infinity give NaN "
    "scales") {
  for (const Backend& backend : backends()) {
    for (const float value :
         {0.0f, -0.0f, 1e-45f, 1e-38f, -1e-37f, 1e-35f, 2.5f, -3e38f, 3.4028234e38f}) {
      const std::vector<float> x(32, value);
      const std::vector<std::byte> rows = quantized(backend.ops, x, 1, 32);
      const Q8Block block = q8_block(rows, 0, 32, 0);
      const bool tiny = std::abs(value) / 127 < 1.17549435e-38f;
      INFO(backend.name << " value " << value);
      REQUIRE(block.scale == (tiny ? 0.0f : std::abs(value) / 127.0f));
      REQUIRE(int{block.values[31]} == (tiny ? 0 : value > 0 ? 127 : -127));
    }
    for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
      std::vector<float> x(64, 1.0f);
      x[35] = bad;
      const std::vector<std::byte> rows = quantized(backend.ops, x, 1, 64);
      REQUIRE(std::isnan(q8_block(rows, 0, 64, 1).scale));
      REQUIRE(std::isnan(q8_block(rows, 0, 64, 1).scale_sum));
      REQUIRE(q8_block(rows, 0, 64, 0).scale == 1.0f / 127.0f);
    }
  }
}

TEST_CASE("dequantised rows equal the golden values bit for bit, at any alignment") {
  for (const DType type : matmul_types()) {
    if (type == DType::kF32) continue;
    for (const char* kind : {"gauss", "rand"}) {
      const std::string stem = std::string(WINDLASS_SOURCE_DIR "/tests/golden/quants/") +
                               std::string(dtype_info(type).name) + "." + kind;
      const Npy<std::uint8_t> raw = read_npy<std::uint8_t>(stem + ".raw.npy", "|u1");
      const Npy<float> expected = read_npy<float>(stem + ".f32.npy", "<f4");
      const std::int64_t n_rows = raw.shape.at(0), bytes = raw.shape.at(1),
                         width = expected.shape.at(1);
      for (const Backend& backend : backends()) {
        if (backend.ops.dequantize_rows[static_cast<int>(type)] == nullptr) continue;
        for (const std::size_t misalignment : {0u, 1u, 6u}) {
          std::vector<std::byte> copy(raw.values.size() + misalignment);
          std::memcpy(copy.data() + misalignment, raw.values.data(), raw.values.size());
          std::vector<const std::byte*> rows;
          for (std::int64_t r = 0; r < n_rows; ++r)
            rows.push_back(copy.data() + misalignment + r * bytes);
          std::vector<float> out(at(n_rows * width));
          backend.ops.dequantize_rows[static_cast<int>(type)](
              {rows.data(), out.data(), n_rows, width}, {0, n_rows});
          INFO(backend.name << ' ' << stem);
          REQUIRE(std::memcmp(out.data(), expected.values.data(), out.size() * 4) == 0);
        }
      }
    }
  }
}

TEST_CASE("rows of any width are dequantised, and nothing beyond them is written") {
  for (const Backend& backend : backends()) {
    for (const DType type : matmul_types()) {
      if (backend.ops.dequantize_rows[static_cast<int>(type)] == nullptr) continue;
      const std::int64_t block = dtype_info(type).block_weights;
      for (std::int64_t width = block; width <= 35 * block; width += block) {
        Random random(static_cast<std::uint32_t>(width));
        const Weights weights(type, 1, width, 1, &random);
        const std::vector<const std::byte*> rows = {weights.data};
        std::vector<float> out(at(width) + 4, -7.0f);
        backend.ops.dequantize_rows[static_cast<int>(type)]({rows.data(), out.data(), 1, width},
                                                            {0, 1});
        const std::vector<float> expected = reference_dequantize(type, weights.data, width);
        INFO(backend.name << ' ' << dtype_info(type).name << " width " << width);
        REQUIRE(std::memcmp(out.data(), expected.data(), expected.size() * 4) == 0);
        for (std::int64_t i = width; i < width + 4; ++i) REQUIRE(out[at(i)] == -7.0f);
      }
    }
  }
}

namespace {

const float* row_of(const Vectors& vectors, std::int64_t t, std::int64_t head) {
  return vectors.data + t * vectors.row_stride + head * vectors.group_stride;
}

// What comes back of one stored element.
float stored_as(KvType type, const float* row, std::int64_t dim, std::int64_t i) {
  switch (type) {
    case KvType::kF32:
      return row[i];
    case KvType::kF16:
      return f32_from_f16(f16_from_f32(row[i]));
    case KvType::kBF16:
      return f32_from_bf16(bf16_from_f32(row[i]));
    case KvType::kQ8_0:
      break;
  }
  const Q8Reference q8 = reference_quantize(row, dim);
  return f32_from_f16(f16_from_f32(q8.scales[at(i / 32)])) * q8.values[at(i)];
}

}  // namespace

TEST_CASE("appended keys and values are found at their slots, and other slots are untouched") {
  using Dims = std::pair<std::int64_t, std::int64_t>;
  for (const Backend& backend : backends()) {
    if (backend.ops.kv_append == nullptr) continue;
    for (const KvType type : kKvTypes) {
      for (const auto& [key_dim, value_dim] : {Dims{10, 10}, {64, 32}, {64, 64}, {128, 18}}) {
        if (!kv_type_fits(type, key_dim) || !kv_type_fits(type, value_dim)) continue;
        constexpr std::int64_t kTokens = 25, kKvHeads = 3, kPageTokens = 32, kFirstSlot = 13,
                               kPages = 3;
        const PageShape shape{kKvHeads, key_dim, value_dim, kPageTokens, {type, type}};
        const std::int64_t page_bytes =
            kKvHeads * kPageTokens * (kv_bytes(type, key_dim) + kv_bytes(type, value_dim));
        Random random(3);
        // A row holds a key and a value of each head, side by side, after 5 floats of something.
        const std::int64_t group = key_dim + value_dim, row = 5 + kKvHeads * group;
        std::vector<float> kv = random.gauss_vector(kTokens * row);
        const Vectors k{kv.data() + 5, row, 1, group, 0};
        const Vectors v{kv.data() + 5 + key_dim, row, 1, group, 0};
        std::vector<std::vector<std::byte>> storage(kPages, std::vector<std::byte>(at(page_bytes)));
        std::vector<std::byte*> pages;
        for (auto& page : storage) pages.push_back(page.data());
        const KvAppendArgs args = {k,        v,       pages.data(), kFirstSlot,  kTokens,
                                   kKvHeads, key_dim, value_dim,    kPageTokens, shape.types};
        backend.ops.kv_append(args, {0, 4});
        backend.ops.kv_append(args, {4, kTokens});
        for (std::int64_t slot = 0; slot < kPages * kPageTokens; ++slot) {
          for (std::int64_t item = 0; item < kKvHeads * 2; ++item) {
            const bool is_value = item % 2 == 1;
            const std::int64_t t = slot - kFirstSlot, dim = is_value ? value_dim : key_dim;
            const auto stored = reference_kv_row(shape, pages.data(), slot, item / 2, is_value);
            const bool written = t >= 0 && t < kTokens;
            const float* from = written ? row_of(is_value ? v : k, t, item / 2) : nullptr;
            for (std::int64_t i = 0; i < dim; ++i) {
              REQUIRE(stored[at(i)] == (written ? stored_as(type, from, dim, i) : 0.0f));
            }
          }
        }
      }
    }
  }
}

TEST_CASE("where values are in the keys, keys alone are written, and pages have no room for more") {
  for (const Backend& backend : backends()) {
    if (backend.ops.kv_append == nullptr) continue;
    for (const KvType type : kKvTypes) {
      constexpr std::int64_t kTokens = 3, kKvHeads = 2, kDim = 64, kPageTokens = 16;
      Random random(4);
      std::vector<float> k = random.gauss_vector(kTokens * kKvHeads * kDim);
      std::vector<std::byte> page(at(kKvHeads * kPageTokens * kv_bytes(type, kDim)));
      const std::vector<std::byte*> pages = {page.data()};
      KvAppendArgs args = {};
      args.k = {k.data(), kKvHeads * kDim, 1, kDim, 0};
      args.pages = pages.data();
      args.tokens = kTokens;
      args.kv_heads = kKvHeads;
      args.key_dim = kDim;
      args.value_dim = 32;
      args.page_tokens = kPageTokens;
      args.types = {type, type};
      args.values_in_keys = true;
      backend.ops.kv_append(args, {0, kTokens});
      const PageShape shape{kKvHeads, kDim, 32, kPageTokens, args.types};
      for (std::int64_t item = 0; item < kTokens * kKvHeads; ++item) {
        const std::int64_t t = item / kKvHeads, head = item % kKvHeads;
        const auto stored = reference_kv_row(shape, pages.data(), t, head, false);
        for (std::int64_t i = 0; i < kDim; ++i) {
          REQUIRE(stored[at(i)] == stored_as(type, row_of(args.k, t, head), kDim, i));
        }
      }
    }
  }
}

TEST_CASE("a NaN in a key or value stays one in every type") {
  for (const Backend& backend : backends()) {
    if (backend.ops.kv_append == nullptr) continue;
    for (const KvType type : kKvTypes) {
      std::vector<float> row(64, 1.0f);
      row[5] = NAN;
      std::vector<std::byte> page(at(16 * 2 * kv_bytes(type, 64)));
      const std::vector<std::byte*> pages = {page.data()};
      const Vectors both = plain_rows(row.data(), 64);
      backend.ops.kv_append({both, both, pages.data(), 3, 1, 1, 64, 64, 16, {type, type}}, {0, 1});
      for (const bool is_value : {false, true}) {
        const PageShape shape{1, 64, 64, 16, {type, type}};
        const auto stored = reference_kv_row(shape, pages.data(), 3, 0, is_value);
        INFO(backend.name << ' ' << kv_type_name(type));
        REQUIRE(std::isnan(stored[5]));
        REQUIRE(std::abs(stored[40] - 1.0) < 1e-3);
      }
    }
  }
}

}  // namespace windlass::test

// RMS norm, SwiGLU, RoPE, q8 rows, KV append and dequantisation of every op table against plain
// references.
#include "tests/cpu_kernels/isa_sweep.h"
#include "tests/support/npy.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

const std::vector<std::int64_t>& widths() {
  static const std::vector<std::int64_t> all = [] {
    std::vector<std::int64_t> list;
    for (std::int64_t n = 1; n <= 34; ++n) list.push_back(n);
    for (const std::int64_t n : {63, 64, 65, 127, 128, 576, 1000, 1536}) list.push_back(n);
    return list;
  }();
  return all;
}

void check_close(const std::vector<float>& out, const std::vector<double>& expected,
                 double relative, double absolute) {
  REQUIRE(out.size() == expected.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    INFO("element " << i << " is " << out[i] << ", expected " << expected[i]);
    REQUIRE(std::abs(out[i] - expected[i]) <= relative * std::abs(expected[i]) + absolute);
  }
}

struct Q8Parts {
  const std::int8_t* values;
  const float* scales;
  const float* scale_sums;
  const float* half_sums;
};

Q8Parts q8_parts(const std::vector<std::byte>& rows, std::int64_t row, std::int64_t width) {
  const std::byte* at_row = rows.data() + row * q8_row_bytes(width);
  const std::byte* scales = at_row + q8_values_bytes(width);
  return {reinterpret_cast<const std::int8_t*>(at_row), reinterpret_cast<const float*>(scales),
          reinterpret_cast<const float*>(scales + q8_scales_bytes(width)),
          reinterpret_cast<const float*>(scales + 2 * q8_scales_bytes(width))};
}

}  // namespace

TEST_CASE("rms norm equals its double-precision form, also in place") {
  for (const Isa isa : present_isas()) {
    for (const std::int64_t width : widths()) {
      Random random(static_cast<std::uint32_t>(width));
      constexpr std::int64_t kRows = 3;
      std::vector<float> x = random.gauss_vector(kRows * width, 4.0f);
      const std::vector<float> weight = random.gauss_vector(width);
      std::vector<float> out(x.size());
      RmsNormArgs args = {x.data(), weight.data(), out.data(), kRows, width, 1e-5f};
      const std::vector<double> expected = reference_rms_norm(args);
      INFO(isa_name(isa) << " width " << width);
      cpu_op_table(isa).rms_norm(args, {0, kRows});
      check_close(out, expected, 1e-6, 0);
      args.out = x.data();
      cpu_op_table(isa).rms_norm(args, {0, 1});
      cpu_op_table(isa).rms_norm(args, {1, kRows});
      REQUIRE(x == out);
    }
  }
}

TEST_CASE("swiglu equals its double-precision form, also for gates that overflow exp") {
  for (const Isa isa : present_isas()) {
    for (const std::int64_t width : widths()) {
      Random random(static_cast<std::uint32_t>(width));
      constexpr std::int64_t kRows = 2;
      std::vector<float> gate = random.gauss_vector(kRows * width, 8.0f);
      const std::vector<float> up = random.gauss_vector(kRows * width);
      gate[0] = -1000.0f;
      gate.back() = 1000.0f;
      std::vector<float> out(gate.size());
      SwiGluArgs args = {gate.data(), up.data(), out.data(), kRows, width};
      const std::vector<double> expected = reference_swiglu(args);
      INFO(isa_name(isa) << " width " << width);
      cpu_op_table(isa).swiglu(args, {0, kRows});
      check_close(out, expected, 6e-7, 1e-30);
      args.out = gate.data();
      cpu_op_table(isa).swiglu(args, {0, 1});
      cpu_op_table(isa).swiglu(args, {1, kRows});
      REQUIRE(gate == out);
    }
  }
}

TEST_CASE("swiglu keeps the exponential's accuracy over its whole range") {
  for (const Isa isa : present_isas()) {
    for (double x = -60; x < 60; x += 0.0371) {
      const float gate = static_cast<float>(-x), up = 1.0f;
      float out = 0;
      cpu_op_table(isa).swiglu({&gate, &up, &out, 1, 1}, {0, 1});
      const double expected = gate / (1 + std::exp(-static_cast<double>(gate)));
      INFO(isa_name(isa) << " gate " << gate);
      REQUIRE(std::abs(out - expected) <= 4e-7 * std::abs(expected));
    }
  }
}

TEST_CASE("rope rotates pairs and leaves the rest of a head alone") {
  for (const Isa isa : present_isas()) {
    for (const bool interleaved : {false, true}) {
      for (const std::int64_t head_dim : {2, 16, 64, 80, 128}) {
        for (const std::int64_t dims : {head_dim, head_dim / 4 * 2}) {
          constexpr std::int64_t kTokens = 3, kHeads = 3;
          Random random(static_cast<std::uint32_t>(head_dim));
          std::vector<float> x = random.gauss_vector(kTokens * kHeads * head_dim);
          const std::vector<float> cos = random.gauss_vector(kTokens * head_dim);
          const std::vector<float> sin = random.gauss_vector(kTokens * head_dim);
          const RopeArgs args = {x.data(), cos.data(), sin.data(), kTokens,
                                 kHeads,   head_dim,   dims,       interleaved};
          const std::vector<double> expected = reference_rope(args);
          cpu_op_table(isa).rope(args, {0, 2});
          cpu_op_table(isa).rope(args, {2, kTokens});
          INFO(isa_name(isa) << " head_dim " << head_dim << " dims " << dims << " interleaved "
                             << interleaved);
          check_close(x, expected, 1e-6, 1e-6);
        }
      }
    }
  }
}

TEST_CASE("q8 rows equal the reference, with zeros in all padding") {
  for (const Isa isa : present_isas()) {
    for (const std::int64_t width : widths()) {
      Random random(static_cast<std::uint32_t>(width));
      constexpr std::int64_t kRows = 2;
      const std::vector<float> x = random.gauss_vector(kRows * width, 3.0f);
      std::vector<std::byte> rows(at(kRows * q8_row_bytes(width)), std::byte{0xee});
      cpu_op_table(isa).quantize_rows({x.data(), rows.data(), kRows, width}, {0, kRows});
      INFO(isa_name(isa) << " width " << width);
      for (std::int64_t row = 0; row < kRows; ++row) {
        const Q8Reference expected = reference_quantize(x.data() + row * width, width);
        const Q8Parts parts = q8_parts(rows, row, width);
        for (std::int64_t i = 0; i < q8_values_bytes(width); ++i) {
          REQUIRE(int{parts.values[i]} ==
                  (at(i) < expected.values.size() ? expected.values[at(i)] : 0));
        }
        for (std::int64_t b = 0; b < q8_scales_bytes(width) / 4; ++b) {
          const bool padding = b >= q8_blocks(width);
          int sums[2] = {};
          for (std::int64_t i = 0; !padding && i < 32; ++i) {
            sums[i / 16] += parts.values[b * 32 + i];
          }
          REQUIRE(parts.scales[b] == (padding ? 0.0f : expected.scales[at(b)]));
          const auto times_scale = [&](int sum) {
            return padding ? 0.0f : parts.scales[b] * static_cast<float>(sum);
          };
          REQUIRE(parts.scale_sums[b] == times_scale(sums[0] + sums[1]));
          REQUIRE(parts.half_sums[2 * b] == times_scale(sums[0]));
          REQUIRE(parts.half_sums[2 * b + 1] == times_scale(sums[1]));
        }
      }
    }
  }
}

TEST_CASE(
    "q8 blocks of zeros, constants, denormals and huge values are sane; NaN and infinity give NaN "
    "scales") {
  for (const Isa isa : present_isas()) {
    for (const float value :
         {0.0f, -0.0f, 1e-45f, 1e-38f, -1e-37f, 1e-35f, 2.5f, -3e38f, 3.4028234e38f}) {
      const std::vector<float> x(32, value);
      const std::vector<std::byte> rows = quantized(cpu_op_table(isa), x, 1, 32);
      const Q8Parts parts = q8_parts(rows, 0, 32);
      const bool tiny = std::abs(value) / 127 < 1.17549435e-38f;
      INFO(isa_name(isa) << " value " << value);
      REQUIRE(parts.scales[0] == (tiny ? 0.0f : std::abs(value) / 127.0f));
      REQUIRE(int{parts.values[31]} == (tiny ? 0 : value > 0 ? 127 : -127));
    }
    for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
      std::vector<float> x(64, 1.0f);
      x[35] = bad;
      const std::vector<std::byte> rows = quantized(cpu_op_table(isa), x, 1, 64);
      const Q8Parts parts = q8_parts(rows, 0, 64);
      REQUIRE(std::isnan(parts.scales[1]));
      REQUIRE(std::isnan(parts.scale_sums[1]));
      REQUIRE(parts.scales[0] == 1.0f / 127.0f);
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
      for (const Isa isa : present_isas()) {
        for (const std::size_t misalignment : {0u, 1u, 6u}) {
          std::vector<std::byte> copy(raw.values.size() + misalignment);
          std::memcpy(copy.data() + misalignment, raw.values.data(), raw.values.size());
          std::vector<const std::byte*> rows;
          for (std::int64_t r = 0; r < n_rows; ++r)
            rows.push_back(copy.data() + misalignment + r * bytes);
          std::vector<float> out(at(n_rows * width));
          cpu_op_table(isa).dequantize_rows[static_cast<int>(type)](
              {rows.data(), out.data(), n_rows, width}, {0, n_rows});
          INFO(isa_name(isa) << ' ' << stem);
          REQUIRE(std::memcmp(out.data(), expected.values.data(), out.size() * 4) == 0);
        }
      }
    }
  }
}

TEST_CASE("rows of any width are dequantised, and nothing beyond them is written") {
  for (const Isa isa : present_isas()) {
    for (const DType type : matmul_types()) {
      const std::int64_t block = dtype_info(type).block_weights;
      for (std::int64_t width = block; width <= 35 * block; width += block) {
        Random random(static_cast<std::uint32_t>(width));
        const Weights weights(type, 1, width, 1, &random);
        const std::byte* row = weights.data;
        std::vector<float> out(at(width) + 4, -7.0f);
        cpu_op_table(isa).dequantize_rows[static_cast<int>(type)]({&row, out.data(), 1, width},
                                                                  {0, 1});
        const std::vector<float> expected = reference_dequantize(type, row, width);
        INFO(isa_name(isa) << ' ' << dtype_info(type).name << " width " << width);
        REQUIRE(std::memcmp(out.data(), expected.data(), expected.size() * 4) == 0);
        for (std::int64_t i = width; i < width + 4; ++i) REQUIRE(out[at(i)] == -7.0f);
      }
    }
  }
}

TEST_CASE("appended keys and values are found at their slots, and other slots are untouched") {
  for (const Isa isa : present_isas()) {
    for (const bool f16 : {false, true}) {
      for (const std::int64_t head_dim : {10, 16, 64, 80, 128}) {
        constexpr std::int64_t kTokens = 11, kKvHeads = 3, kPageTokens = 8, kFirstSlot = 6,
                               kPages = 3;
        const std::int64_t page_bytes = 2 * kKvHeads * kPageTokens * head_dim * (f16 ? 2 : 4);
        Random random(3);
        const std::vector<float> k = random.gauss_vector(kTokens * kKvHeads * head_dim);
        const std::vector<float> v = random.gauss_vector(kTokens * kKvHeads * head_dim);
        std::vector<std::vector<std::byte>> storage(kPages, std::vector<std::byte>(at(page_bytes)));
        std::vector<std::byte*> pages;
        for (auto& page : storage) pages.push_back(page.data());
        const KvAppendArgs args = {k.data(), v.data(), pages.data(), kFirstSlot,
                                   kTokens,  kKvHeads, head_dim,     kPageTokens};
        cpu_op_table(isa).kv_append[f16 ? 0 : 1](args, {0, 4});
        cpu_op_table(isa).kv_append[f16 ? 0 : 1](args, {4, kTokens});
        for (std::int64_t slot = 0; slot < kPages * kPageTokens; ++slot) {
          for (std::int64_t g = 0; g < kKvHeads; ++g) {
            for (const bool is_value : {false, true}) {
              const auto stored = reference_kv_row(pages.data(), slot, g, is_value, f16, kKvHeads,
                                                   head_dim, kPageTokens);
              const std::int64_t t = slot - kFirstSlot;
              for (std::int64_t i = 0; i < head_dim; ++i) {
                float expected = 0;
                if (t >= 0 && t < kTokens)
                  expected = (is_value ? v : k)[at((t * kKvHeads + g) * head_dim + i)];
                if (f16) expected = f32_from_f16(f16_from_f32(expected));
                REQUIRE(stored[at(i)] == expected);
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace windlass::test

// Encoders against ggml's error on the same rows, and on blocks that break careless ones.
#include "src/quant/encode.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <numbers>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

constexpr std::int64_t kRows = 64, kWidth = 1024;

// splitmix64
class Random {
 public:
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
  double unit_above_zero() { return static_cast<double>((next() >> 11) + 1) * 0x1p-53; }

 private:
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::uint64_t state_ = 0x9e3779b97f4a7c15u;
};

// Gaussian rows of growing scale with a run of zeros and an outlier.
std::vector<float> gaussian_rows() {
  std::vector<float> rows;
  Random random;
  for (std::int64_t r = 0; r < kRows; ++r) {
    const double scale = 0.02 * std::pow(1.05, static_cast<double>(r));
    for (std::int64_t i = 0; i < kWidth; i += 2) {
      const double u = random.unit_above_zero(), w = random.unit();
      const double radius = scale * std::sqrt(-2 * std::log(u));
      rows.push_back(static_cast<float>(radius * std::cos(2 * std::numbers::pi * w)));
      rows.push_back(static_cast<float>(radius * std::sin(2 * std::numbers::pi * w)));
    }
    float* row = rows.data() + r * kWidth;
    std::fill(row + 100, row + 140, 0.0f);
    row[511] *= 8;
  }
  return rows;
}

std::vector<float> there_and_back(DType type, const float* x, std::int64_t n) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(row_bytes(type, n)));
  encode_row(type, x, n, bytes.data());
  return reference_dequantize(type, bytes.data(), n);
}

// Mean over the rows of |error| / |row|.
double relative_error(DType type, const std::vector<float>& rows) {
  double sum = 0;
  for (std::int64_t r = 0; r < kRows; ++r) {
    const float* row = rows.data() + r * kWidth;
    const std::vector<float> back = there_and_back(type, row, kWidth);
    double error = 0, norm = 0;
    for (std::int64_t i = 0; i < kWidth; ++i) {
      error += std::pow(static_cast<double>(back[static_cast<std::size_t>(i)]) - row[i], 2);
      norm += std::pow(static_cast<double>(row[i]), 2);
    }
    sum += std::sqrt(error / norm);
  }
  return sum / static_cast<double>(kRows);
}

// `ggml`: the same figure of ggml_quantize_chunk without an importance matrix on these rows,
// decoded by gguf-py 0.19.0: llama.cpp 0.5.0-dev as vendored in llama_cpp_python 0.3.36. `ours`:
// what these encoders gave when they were written, so that no change makes them worse unseen.
struct Figures {
  double ggml, ours;
};
const std::map<DType, Figures> kErrors = {
    {DType::kF16, {0.000206, 0.000206}},  {DType::kBF16, {0.001666, 0.001666}},
    {DType::kQ8_0, {0.005766, 0.005533}}, {DType::kQ4_0, {0.092320, 0.087461}},
    {DType::kQ4_1, {0.080270, 0.070995}}, {DType::kQ5_0, {0.045727, 0.043288}},
    {DType::kQ5_1, {0.038842, 0.034898}}, {DType::kIQ4_NL, {0.079563, 0.076725}},
    {DType::kQ2_K, {0.301206, 0.260060}}, {DType::kQ3_K, {0.155589, 0.148707}},
    {DType::kQ4_K, {0.073471, 0.071602}}, {DType::kQ5_K, {0.037090, 0.035705}},
    {DType::kQ6_K, {0.018799, 0.018111}},
};

}  // namespace

TEST_CASE("encoders lose no more than ggml's do") {
  const std::vector<float> rows = gaussian_rows();
  for (const DType type : encodable_types()) {
    const double error = relative_error(type, rows);
    INFO(dtype_info(type).name << ": " << error);
    if (type == DType::kF32) {
      CHECK(error == 0);
    } else {
      CHECK(error <= kErrors.at(type).ggml + 5e-7);  // the last digit of the figures
      CHECK(error <= kErrors.at(type).ours * 1.0002 + 5e-7);
    }
  }
}

TEST_CASE("zeros stay zeros and a constant is kept") {
  for (const DType type : encodable_types()) {
    INFO(dtype_info(type).name);
    for (const float value : {0.0f, -0.0f, 1.0f, -0.37f, 65504.0f, -65504.0f, 1e-4f}) {
      INFO(value);
      const std::vector<float> x(256, value);
      for (const float back : there_and_back(type, x.data(), 256)) {
        // f16 scales are multiples of 6e-8: a scale of 1e-4 / 127 has 4 bits, one of 1e-4 / 8192
        // none.
        const float tolerance =
            std::abs(value) <= 1e-4f ? std::abs(value) : 0.02f * std::abs(value);
        REQUIRE(std::abs(back - value) <= tolerance);
      }
    }
  }
}

TEST_CASE("blocks of tiny, huge and lone values decode to finite weights of their size") {
  for (const DType type : encodable_types()) {
    if (type == DType::kF32 || type == DType::kBF16) continue;
    INFO(dtype_info(type).name);
    for (const float extreme : {1e-45f, 1e-38f, 1e-20f, 1e-7f, 3e-5f, 65504.0f, -65504.0f}) {
      INFO(extreme);
      std::vector<float> x(256, 0.0f);
      x[77] = extreme;
      x[200] = -extreme / 3;
      const std::vector<float> back = there_and_back(type, x.data(), 256);
      for (std::size_t i = 0; i < 256; ++i) {
        REQUIRE(std::isfinite(back[i]));
        REQUIRE(std::abs(back[i]) <= 1.2f * std::abs(extreme) + 1e-6f);
      }
      if (std::abs(extreme) > 1) REQUIRE(back[77] == Approx(extreme).epsilon(0.1));
    }
  }
}

TEST_CASE("sixteen evenly spaced values survive four bits") {
  std::vector<float> x(256);
  for (std::size_t i = 0; i < 256; ++i) {
    x[i] = 0.25f * static_cast<float>(static_cast<int>(i % 16) - 8);
  }
  for (const DType type : {DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1, DType::kQ4_K}) {
    const std::vector<float> back = there_and_back(type, x.data(), 256);
    double worst = 0;
    for (std::size_t i = 0; i < 256; ++i) worst = std::max<double>(worst, std::abs(back[i] - x[i]));
    INFO(dtype_info(type).name << " " << worst);
    CHECK(worst <= 0.01);
  }
}

}  // namespace windlass::test

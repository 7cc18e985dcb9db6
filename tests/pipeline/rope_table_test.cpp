// Angles of rotary embedding against the papers' formulas, in double precision.
#include "pipeline/rope_table.h"

#include <cmath>
#include <vector>

#include "tests/support/catch.h"

namespace windlass {
namespace {

constexpr std::int64_t kDims = 64;
constexpr std::int64_t kPositions[] = {0, 1, 2, 17, 511, 2047};

RopeSpec plain_spec() {
  RopeSpec spec;
  spec.dims = kDims;
  spec.base = 10000.0;
  return spec;
}

double plain_frequency(const RopeSpec& spec, std::int64_t pair) {
  return std::exp(-2.0 * static_cast<double>(pair) / static_cast<double>(spec.dims) *
                  std::log(spec.base));
}

// The table against frequencies and a magnitude. An angle is held in f32: its error grows with it.
void check_table(const RopeTable& table, const std::vector<double>& frequencies, double magnitude) {
  REQUIRE(table.pairs() == static_cast<std::int64_t>(frequencies.size()));
  std::vector<float> cos(frequencies.size()), sin(frequencies.size());
  for (const std::int64_t position : kPositions) {
    table.fill(position, cos.data(), sin.data());
    for (std::size_t pair = 0; pair < frequencies.size(); ++pair) {
      const double angle = static_cast<double>(position) * frequencies[pair];
      const double margin = 2e-7 * (1 + angle) * magnitude;
      INFO("position " << position << ", pair " << pair);
      CHECK(std::abs(static_cast<double>(cos[pair]) - magnitude * std::cos(angle)) <= margin);
      CHECK(std::abs(static_cast<double>(sin[pair]) - magnitude * std::sin(angle)) <= margin);
    }
  }
}

TEST_CASE("without scaling the frequencies are powers of the base") {
  RopeSpec spec = plain_spec();
  spec.base = GENERATE(10000.0, 500000.0);
  spec.dims = GENERATE(2, 48, 64, 128);
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < spec.dims / 2; ++i) frequencies.push_back(plain_frequency(spec, i));
  check_table(RopeTable(spec, {}), frequencies, 1.0);
}

TEST_CASE("linear interpolation divides positions by the factor") {
  RopeSpec spec = plain_spec();
  spec.scaling = RopeScaling::kLinear;
  spec.factor = 4.0;
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < kDims / 2; ++i) {
    frequencies.push_back(plain_frequency(spec, i) / 4.0);
  }
  check_table(RopeTable(spec, {}), frequencies, 1.0);
}

TEST_CASE("llama-3's factors divide each frequency by its own") {
  // The factors as a converter computes them from factor 8, low 1, high 4, context 8192.
  RopeSpec spec = plain_spec();
  spec.base = 500000.0;
  constexpr double kFactor = 8, kLow = 1, kHigh = 4, kContext = 8192;
  std::vector<float> factors;
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < kDims / 2; ++i) {
    const double frequency = plain_frequency(spec, i);
    const double wavelength = 2 * M_PI / frequency;
    double divisor = 1;
    if (wavelength > kContext / kLow) {
      divisor = kFactor;
    } else if (wavelength >= kContext / kHigh) {
      const double smooth = (kContext / wavelength - kLow) / (kHigh - kLow);
      divisor = 1 / ((1 - smooth) / kFactor + smooth);
    }
    factors.push_back(static_cast<float>(divisor));
    frequencies.push_back(frequency / static_cast<double>(factors.back()));
  }
  REQUIRE(factors.front() == 1.0F);
  REQUIRE(factors.back() == 8.0F);
  check_table(RopeTable(spec, factors), frequencies, 1.0);
}

TEST_CASE("LongRoPE divides each frequency by its factor and scales by the attention factor") {
  RopeSpec spec = plain_spec();
  spec.scaling = RopeScaling::kLongRope;
  spec.attention_factor = 1.19;
  std::vector<float> factors;
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < kDims / 2; ++i) {
    factors.push_back(1.0F + 0.5F * static_cast<float>(i));
    frequencies.push_back(plain_frequency(spec, i) / static_cast<double>(factors.back()));
  }
  check_table(RopeTable(spec, factors), frequencies, 1.19);
}

TEST_CASE("YaRN keeps fast pairs, interpolates slow ones and blends those between") {
  RopeSpec spec = plain_spec();
  spec.scaling = RopeScaling::kYarn;
  spec.factor = GENERATE(2.0, 16.0);
  spec.original_context = 4096;
  spec.attention_factor = GENERATE(1.0, 0.75);
  // Section 3.2 with alpha = 1 and beta = 32 turns, in the published form: the ramp runs over the
  // pair's index between the (whole) pairs that turn so often over the original context.
  const auto pair_of_turns = [&](double turns) {
    return static_cast<double>(kDims) * std::log(4096 / (turns * 2 * M_PI)) /
           (2 * std::log(spec.base));
  };
  const double low = std::floor(pair_of_turns(32)), high = std::ceil(pair_of_turns(1));
  REQUIRE(low > 0);
  REQUIRE(high < kDims / 2);
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < kDims / 2; ++i) {
    const double plain = plain_frequency(spec, i);
    const auto pair = static_cast<double>(i);
    const double interpolated =
        pair <= low ? 0.0 : (pair >= high ? 1.0 : (pair - low) / (high - low));
    frequencies.push_back(plain * (1 - interpolated) + plain / spec.factor * interpolated);
  }
  const double magnitude = spec.attention_factor * (1 + 0.1 * std::log(spec.factor));
  check_table(RopeTable(spec, {}), frequencies, magnitude);
}

}  // namespace
}  // namespace windlass

#include "pipeline/eval/bootstrap.h"

#include <cmath>
#include <random>

#include "tests/support/catch.h"

namespace windlass {
namespace {

TEST_CASE("a constant has an interval of no width") {
  const BlockBootstrap bootstrap(1000, 255, 1);
  for (const double value : {0.0, 0.25, -3.0}) {
    const Estimate estimate = bootstrap.mean([&](std::int64_t) { return value; });
    CHECK(estimate.mean == value);
    CHECK(estimate.ci95.low == value);
    CHECK(estimate.ci95.high == value);
  }
}

TEST_CASE("no block reaches from one window into the next") {
  CHECK(BlockBootstrap(255, 255, 1).n_blocks() == 8);
  CHECK(BlockBootstrap(510, 255, 1).n_blocks() == 16);
  CHECK(BlockBootstrap(512, 512, 1).n_blocks() == 16);
  CHECK(BlockBootstrap(26, 13, 1).n_blocks() == 2);
  CHECK(BlockBootstrap(1, 13, 1).n_blocks() == 1);
}

TEST_CASE("the same seed gives the same interval, another seed a slightly different one") {
  std::mt19937_64 random(3);
  std::normal_distribution<> normal(2.0, 1.0);
  std::vector<double> values(3200);
  for (double& value : values) value = normal(random);
  const auto value = [&](std::int64_t row) { return values[static_cast<std::size_t>(row)]; };
  const Estimate first = BlockBootstrap(3200, 320, 7).mean(value);
  const Estimate again = BlockBootstrap(3200, 320, 7).mean(value);
  const Estimate other = BlockBootstrap(3200, 320, 8).mean(value);
  CHECK(first.ci95.low == again.ci95.low);
  CHECK(first.ci95.high == again.ci95.high);
  CHECK(first.ci95.low != other.ci95.low);
  CHECK(first.mean == other.mean);
  // Of 3200 independent draws the mean has a standard error of 1 / sqrt(3200).
  const double expected = 2 * 1.96 / std::sqrt(3200.0);
  CHECK(first.ci95.high - first.ci95.low == Approx(expected).epsilon(0.25));
}

// How many of 200 intervals hold the true mean of rows that share their mean's error within runs.
int n_covering(std::int64_t run_length) {
  int covering = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<> normal(0.5, 1.0);
    std::vector<double> values(1920);
    double shared = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i % static_cast<std::size_t>(run_length) == 0) shared = normal(random);
      values[i] = shared;
    }
    const Estimate estimate = BlockBootstrap(1920, 1920, seed).mean([&](std::int64_t row) {
      return values[static_cast<std::size_t>(row)];
    });
    covering += estimate.ci95.low <= 0.5 && 0.5 <= estimate.ci95.high ? 1 : 0;
  }
  return covering;
}

TEST_CASE("about 95 % of the intervals hold the true mean, also of rows that go together") {
  // 200 draws at 95 % have a standard deviation of 3; 60 blocks make the percentiles a little
  // narrow.
  for (const std::int64_t run_length : {1, 8}) {
    const int covering = n_covering(run_length);
    INFO("runs of " << run_length << ": " << covering);
    CHECK(covering >= 178);
    CHECK(covering <= 199);
  }
}

}  // namespace
}  // namespace windlass

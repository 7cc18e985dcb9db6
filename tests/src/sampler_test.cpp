// The sampler: which tokens each stage lets through, how often each is drawn, and odd logits.
#include "src/text/sampler.h"

#include <cmath>
#include <limits>
#include <map>

#include "src/base/error.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr int kDraws = 50000;

// All stages off: a plain draw at temperature 1.
SamplingOptions plain() {
  SamplingOptions options;
  options.temperature = 1.0;
  options.top_k = 0;
  options.top_p = 1.0;
  options.min_p = 0.0;
  options.seed = 7;
  return options;
}

std::int32_t sample_once(const SamplingOptions& options, const std::vector<float>& logits) {
  return Sampler(options, static_cast<std::int64_t>(logits.size())).sample(logits);
}

SamplingOptions greedy() {
  SamplingOptions options;
  options.temperature = 0.0;
  return options;
}

std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)) + 3.0f);
  return logits;
}

// Draws and compares the counts with `expected` (not normalised) by chi-square; a weight of 0 must
// never be drawn. The limit is the mean of the statistic plus five of its standard deviations: with
// a fixed seed it passes for good or the distribution is wrong.
void check_distribution(const SamplingOptions& options, const std::vector<float>& logits,
                        const std::vector<double>& expected) {
  Sampler sampler(options, static_cast<std::int64_t>(logits.size()));
  std::vector<int> counts(logits.size());
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<std::size_t>(sampler.sample(logits))];
  double total = 0.0;
  for (const double weight : expected) total += weight;
  double chi_square = 0.0;
  double freedom = -1.0;
  for (std::size_t id = 0; id < expected.size(); ++id) {
    if (expected[id] == 0.0) {
      CHECK(counts[id] == 0);
      continue;
    }
    const double mean = kDraws * expected[id] / total;
    chi_square += (counts[id] - mean) * (counts[id] - mean) / mean;
    freedom += 1.0;
  }
  CHECK(chi_square < freedom + 5.0 * std::sqrt(2.0 * std::max(freedom, 1.0)));
}

const std::vector<double> kToy = {0.05, 0.30, 0.10, 0.02, 0.25, 0.15, 0.08, 0.05};

}  // namespace

TEST_CASE("greedy takes the highest logit and the lowest id among equals") {
  CHECK(sample_once(greedy(), {1.0f, 3.0f, 2.0f}) == 1);
  CHECK(sample_once(greedy(), {1.0f, 3.0f, 3.0f}) == 1);
  CHECK(sample_once(greedy(), {-kInf, -kInf}) == 0);
  CHECK(sample_once(greedy(), {-5.0f, -kInf, -4.0f}) == 2);
}

TEST_CASE("a NaN is never chosen and nothing but NaN is an error") {
  CHECK(sample_once(greedy(), {kNan, 1.0f, kNan, 2.0f}) == 3);
  CHECK(sample_once(greedy(), {kNan, -kInf}) == 1);
  Sampler sampler(plain(), 3);
  for (int i = 0; i < 200; ++i) CHECK(sampler.sample(std::vector<float>{kNan, 0.0f, kNan}) == 1);
  for (const SamplingOptions& options : {greedy(), plain()}) {
    CHECK_THROWS_AS(sample_once(options, {kNan, kNan}), Error);
  }
}

TEST_CASE("infinite logits are certain or impossible") {
  CHECK(sample_once(plain(), {0.0f, kInf, 5.0f}) == 1);
  CHECK(sample_once(plain(), {-kInf, -kInf, -kInf}) == 0);
  Sampler sampler(plain(), 3);
  for (int i = 0; i < 200; ++i) CHECK(sampler.sample(std::vector<float>{-kInf, 0.0f, -kInf}) == 1);
}

TEST_CASE("with all stages off tokens are drawn by their softmax") {
  check_distribution(plain(), logits_of(kToy), kToy);
}

TEST_CASE("temperature raises the probabilities to its inverse") {
  SamplingOptions options = plain();
  options.temperature = 0.5;
  std::vector<double> squares;
  for (const double p : kToy) squares.push_back(p * p);
  check_distribution(options, logits_of(kToy), squares);
}

TEST_CASE("top-k keeps the k likeliest, the lower id among equals") {
  SamplingOptions options = plain();
  options.top_k = 3;
  check_distribution(options, logits_of(kToy), {0, 0.30, 0, 0, 0.25, 0.15, 0, 0});
  options.top_k = 7;
  check_distribution(options, logits_of(kToy), {0.05, 0.30, 0.10, 0, 0.25, 0.15, 0.08, 0.05});
  options.top_k = 6;  // ids 0 and 7 are equal
  check_distribution(options, logits_of(kToy), {0.05, 0.30, 0.10, 0, 0.25, 0.15, 0.08, 0});
  options.top_k = 100;
  check_distribution(options, logits_of(kToy), kToy);
}

TEST_CASE("top-p keeps the fewest tokens that reach p, of what top-k left") {
  SamplingOptions options = plain();
  options.top_p = 0.60;  // 0.30 + 0.25 = 0.55 is not enough
  check_distribution(options, logits_of(kToy), {0, 0.30, 0, 0, 0.25, 0.15, 0, 0});
  options.top_k = 2;  // renormalised: 0.30 / 0.55 = 0.545 is not enough, both are
  check_distribution(options, logits_of(kToy), {0, 0.30, 0, 0, 0.25, 0, 0, 0});
  options.top_p = 0.5;
  check_distribution(options, logits_of(kToy), {0, 1, 0, 0, 0, 0, 0, 0});
  options.top_p = 0.0;
  check_distribution(options, logits_of(kToy), {0, 1, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("top-p is exact on more tokens than its first sorted prefix") {
  SamplingOptions options = plain();
  options.top_p = 0.5;
  std::vector<double> probabilities(1000,
                                    0.001);  // equal: the 500 lowest ids; 499.5 of them in sum
  std::vector<double> expected(1000, 0.0);
  options.top_p = 0.4995;
  std::fill(expected.begin(), expected.begin() + 500, 1.0);
  check_distribution(options, logits_of(probabilities), expected);
}

TEST_CASE("min-p keeps what is at least its share of the likeliest") {
  SamplingOptions options = plain();
  options.min_p = 0.3;  // 0.3 * 0.30 = 0.09
  check_distribution(options, logits_of(kToy), {0, 0.30, 0.10, 0, 0.25, 0.15, 0, 0});
  options.min_p = 1.0;
  check_distribution(options, logits_of(kToy), {0, 1, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("the stages before temperature judge unheated probabilities") {
  SamplingOptions options = plain();
  options.temperature = 2.0;
  options.top_p = 0.60;
  check_distribution(options, logits_of(kToy),
                     {0, std::sqrt(0.30), 0, 0, std::sqrt(0.25), std::sqrt(0.15), 0, 0});
}

TEST_CASE("equal seeds give equal draws and other seeds other ones") {
  const std::vector<float> logits = logits_of(kToy);
  const auto draws = [&](std::uint64_t seed) {
    SamplingOptions options = plain();
    options.seed = seed;
    Sampler sampler(options, static_cast<std::int64_t>(logits.size()));
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 100; ++i) ids.push_back(sampler.sample(logits));
    return ids;
  };
  CHECK(draws(1) == draws(1));
  CHECK(draws(1) != draws(2));
}

TEST_CASE("sampling allocates nothing after construction") {
  Sampler sampler(plain(), 8);
  const std::int64_t before = sampler.size_bytes();
  CHECK(before >= 8 * 8);
  for (int i = 0; i < 100; ++i) sampler.sample(logits_of(kToy));
  CHECK(sampler.size_bytes() == before);
}

TEST_CASE("options out of range are refused by name") {
  const auto message_of = [](const SamplingOptions& options) -> std::string {
    try {
      Sampler sampler(options, 8);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::kUsage);
      return error.what();
    }
    return "no error";
  };
  SamplingOptions options = plain();
  for (const double bad : {-0.1, static_cast<double>(kNan), static_cast<double>(kInf)}) {
    options = plain(), options.temperature = bad;
    CHECK_THAT(message_of(options), Contains("--temp"));
    options = plain(), options.top_p = bad;
    CHECK_THAT(message_of(options), Contains("--top-p"));
    options = plain(), options.min_p = bad;
    CHECK_THAT(message_of(options), Contains("--min-p"));
  }
  options = plain(), options.top_k = -1;
  CHECK_THAT(message_of(options), Contains("--top-k"));
}

}  // namespace windlass

// The stages that change logits or truncate in other ways: expectations worked out by hand.
#include <cmath>
#include <limits>

#include "src/base/error.h"
#include "src/text/portable_math.h"
#include "src/text/sampler.h"
#include "tests/support/catch.h"
#include "tests/support/toy_tokenizer.h"

namespace windlass {
namespace {

using testing::ToyTokenizer;

std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

Candidates candidates_of(const std::vector<float>& logits) {
  Candidates candidates(static_cast<std::int64_t>(logits.size()), true);
  for (std::size_t i = 0; i < logits.size(); ++i)
    candidates.add(logits[i], static_cast<std::int32_t>(i));
  return candidates;
}

std::vector<std::int32_t> ids(const Candidates& candidates) {
  std::vector<std::int32_t> out;
  for (const Candidate& candidate : candidates.items()) out.push_back(candidate.id);
  return out;
}

using Ids = std::vector<std::int32_t>;

// The logits that penalties leave of `logits` after these tokens.
std::vector<float> punished(const SamplingOptions& options, const Ids& history,
                            const std::vector<float>& logits,
                            const Tokenizer* tokenizer = nullptr) {
  SamplerHistory past(options, static_cast<std::int64_t>(logits.size()), 100, tokenizer);
  for (const std::int32_t id : history) past.push(id);
  Candidates candidates = candidates_of(logits);
  if (uses_penalties(options)) past.apply_penalties(candidates.change());
  if (uses_dry(options)) past.apply_dry(candidates.change());
  std::vector<float> out;
  for (const Candidate& candidate : candidates.items()) out.push_back(candidate.logit);
  return out;
}

}  // namespace

TEST_CASE("exp and log agree with the library's to some units in the last place") {
  for (double x = -700.0; x < 700.0; x += 0.37)
    CHECK(std::abs(portable_exp(x) / std::exp(x) - 1.0) < 1e-15);
  CHECK(portable_exp(0.0) == 1.0);
  CHECK(portable_exp(-800.0) == 0.0);
  CHECK(std::isinf(portable_exp(800.0)));
  for (double x = 1e-300; x < 1e300; x *= 3.7) {
    const double error = std::abs(portable_log(x) - std::log(x));
    CHECK(error <= 1e-15 * std::max(1.0, std::abs(std::log(x))));
  }
  CHECK(portable_log(1.0) == 0.0);
  CHECK(std::abs(portable_log(1.0 + 1e-9) - std::log1p((1.0 + 1e-9) - 1.0)) < 1e-23);
}

TEST_CASE("the random stream and the draw are fixed to the bit") {
  // 9981545732273789042 is what the C++ standard has for the 10000th number of the default seed.
  std::mt19937_64 engine;
  engine.discard(9999);
  CHECK(engine() == 9981545732273789042u);
  SamplerRandom random(5489);
  CHECK(random.next() == static_cast<double>(14514284786278117030u >> 11) * 0x1p-53);
  CHECK(random.next() == static_cast<double>(4620546740167642908u >> 11) * 0x1p-53);
}

TEST_CASE("repeat, presence and frequency penalties count within their window") {
  SamplingOptions options;
  options.repeat_penalty = 2.0;
  options.repeat_last_n = 3;
  CHECK(punished(options, {0, 1, 2, 1}, {4, 4, -4, 4}) == std::vector<float>{4, 2, -8, 4});
  options.repeat_penalty = 1.0;
  options.presence_penalty = 0.5;
  options.frequency_penalty = 0.25;
  CHECK(punished(options, {0, 1, 2, 1}, {4, 4, -4, 4}) == std::vector<float>{4, 3, -4.75f, 4});
  options.repeat_last_n = -1;  // all of the context
  CHECK(punished(options, {0, 1, 2, 1}, {4, 4, -4, 4}) == std::vector<float>{3.25f, 3, -4.75f, 4});
  options.repeat_last_n = 0;
  CHECK_FALSE(uses_penalties(options));
  options.repeat_last_n = 2;
  Ids many(1000, 3);  // the ring turns over many times
  many.push_back(1);
  CHECK(punished(options, many, {4, 4, 4, 4}) == std::vector<float>{4, 3.25f, 4, 3.25f});
}

TEST_CASE("DRY punishes what would extend a repetition, by its length") {
  SamplingOptions options;
  options.dry_multiplier = 1.0;
  options.dry_base = 2.0;
  options.dry_allowed_length = 2;
  const std::vector<float> zero(6, 0.0f);
  // ... 1 2 3 [4] ... 1 2 3: "4" would make the repetition longer: 3 tokens match, 2^(3-2).
  CHECK(punished(options, {1, 2, 3, 4, 5, 1, 2, 3}, zero) == std::vector<float>{0, 0, 0, 0, -2, 0});
  // Two tokens match: 2^0.
  CHECK(punished(options, {2, 3, 4, 5, 2, 3}, zero) == std::vector<float>{0, 0, 0, 0, -1, 0});
  // One is allowed.
  CHECK(punished(options, {3, 4, 5, 3}, zero) == zero);
  // Of several, the longest counts: 1 2 3 [4], 2 3 [4], and 2 3 [5].
  CHECK(punished(options, {2, 3, 5, 1, 2, 3, 4, 0, 1, 2, 3}, zero) ==
        std::vector<float>{0, 0, 0, 0, -2, -1});
  // A run of one token matches itself: 3 of 4 before the last.
  CHECK(punished(options, {0, 0, 0, 0}, zero) == std::vector<float>{-2, 0, 0, 0, 0, 0});
  options.dry_penalty_last_n = 3;
  CHECK(punished(options, {1, 2, 3, 4, 5, 1, 2, 3}, zero) == zero);
}

TEST_CASE("DRY does not reach over a sequence breaker, also one that spans tokens") {
  SamplingOptions options;
  options.dry_multiplier = 1.0;
  options.dry_base = 2.0;
  options.dry_allowed_length = 1;
  options.dry_sequence_breakers = {"\n", "END"};
  const ToyTokenizer tokenizer({"a", "b", "c", "x\n", "E", "ND."}, {});
  const std::vector<float> zero(6, 0.0f);
  const Ids plain = {0, 1, 2, 0, 1};  // a b [c] a b
  CHECK(punished(options, plain, zero, &tokenizer) == std::vector<float>{0, 0, -2, 0, 0, 0});
  const Ids broken = {3, 1, 2, 3, 1};  // only b is after the breaker: length 1
  CHECK(punished(options, broken, zero, &tokenizer) == std::vector<float>{0, 0, -1, 0, 0, 0});
  const Ids spanning = {4, 5, 1, 2, 4, 5, 1};  // E ND. b [c] E ND. b
  CHECK(punished(options, spanning, zero, &tokenizer) == std::vector<float>{0, 0, -1, 0, 0, 0});
  const Ids to_breaker = {0, 1, 3, 0, 1};  // what would follow holds a breaker
  CHECK(punished(options, to_breaker, zero, &tokenizer) == zero);
}

TEST_CASE("typical keeps what is nearest to the entropy until p is passed") {
  // Entropy of (0.5, 0.25, 0.125, 0.125) is 1.75 bits; surprises are 1, 2, 3, 3: distances 0.75,
  // 0.25, 1.25, 1.25.
  const std::vector<float> logits = logits_of({0.5, 0.25, 0.125, 0.125});
  const auto kept = [&](double p) {
    Candidates candidates = candidates_of(logits);
    candidates.keep_typical(p);
    return ids(candidates);
  };
  CHECK(kept(0.2) == Ids{1});
  CHECK(kept(0.3) == Ids{0, 1});
  CHECK(kept(0.8) == Ids{0, 1, 2});
  CHECK(kept(0.0) == Ids{1});
  CHECK(kept(1.0) == Ids{0, 1, 2, 3});
}

TEST_CASE("top-n-sigma keeps what is within n standard deviations of the best") {
  // 4, 0, 0, 0: mean 1, deviation sqrt(3) = 1.732.
  const auto kept = [&](double n) {
    Candidates candidates = candidates_of({0, 4, 0, 0});
    candidates.keep_top_n_sigma(n);
    return ids(candidates);
  };
  CHECK(kept(-1) == Ids{0, 1, 2, 3});
  CHECK(kept(0) == Ids{1});
  CHECK(kept(2.3) == Ids{1});
  CHECK(kept(2.4) == Ids{0, 1, 2, 3});
}

TEST_CASE("XTC leaves the least of the top choices") {
  const std::vector<float> logits = logits_of({0.1, 0.4, 0.2, 0.3});
  const auto kept = [&](double probability, double threshold) {
    Candidates candidates = candidates_of(logits);
    SamplerRandom random(1);
    candidates.exclude_top_choices(probability, threshold, random);
    candidates.sort();
    return ids(candidates);
  };
  CHECK(kept(1.0, 0.15) == Ids{2, 0});
  CHECK(kept(1.0, 0.25) == Ids{3, 2, 0});
  CHECK(kept(1.0, 0.35) == Ids{1, 3, 2, 0});  // one top choice is no choice
  CHECK(kept(1.0, 0.05) == Ids{0});
  CHECK(kept(0.0, 0.15) == Ids{1, 3, 2, 0});
  int n = 0;
  SamplerRandom random(3);
  for (int i = 0; i < 10000; ++i) {
    Candidates candidates = candidates_of(logits);
    candidates.exclude_top_choices(0.3, 0.15, random);
    n += candidates.items().size() == 2;
  }
  CHECK(std::abs(n - 3000) < 230);  // five standard deviations of 46
}

TEST_CASE("mirostat 2 cuts what is more surprising than mu, and mu follows the surprise") {
  SamplingOptions options;
  options.mirostat = 2;
  options.mirostat_tau = 1.01;  // mu begins at 2.02 bits
  options.mirostat_eta = 1.0;
  options.temperature = 1.0;
  // Surprises of 1, 2, 3 and 3 bits: the first two stay, renormalised to 2/3 and 1/3.
  const std::vector<float> logits = {3.0f, 3.0f - 0.6931471f, 3.0f - 1.3862944f, 3.0f - 1.3862944f};
  int n_first = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    options.seed = seed;
    Sampler sampler(options, 4);
    const std::int32_t id = sampler.sample(logits);
    CHECK(id < 2);
    n_first += id == 0;
    // 0: surprise 0.585 bits, mu = 2.445; 1: 1.585 bits, mu = 1.445, so only id 0 may follow.
    const std::int32_t next = sampler.sample(logits);
    CHECK(next <= 1 - id);
  }
  CHECK(std::abs(n_first - 2000) < 130);  // five standard deviations of 26
}

TEST_CASE("mirostat 1 keeps as many as Zipf's law says have a surprise below mu") {
  SamplingOptions options;
  options.mirostat = 1;
  options.mirostat_tau = 1.0;
  options.temperature = 1.0;
  // p(i) ~ 1/i^2 over 50 tokens: s = 2, epsilon = 1, k = (2^2 / (1 - 1/50)) ^ (1/2) = 2.02.
  std::vector<float> logits;
  for (int i = 1; i <= 50; ++i) logits.push_back(static_cast<float>(-2.0 * std::log(i)));
  bool seen[2] = {};
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    options.seed = seed;
    const std::int32_t id = Sampler(options, 50).sample(logits);
    REQUIRE(id < 2);
    seen[id] = true;
  }
  CHECK((seen[0] && seen[1]));
  CHECK(Sampler(options, 1).sample(std::vector<float>{1.0f}) == 0);
  Sampler flat(options, 8);
  for (int i = 0; i < 20; ++i) CHECK(flat.sample(std::vector<float>(8, 0.0f)) < 8);
}

TEST_CASE("logit bias comes first and minus infinity forbids") {
  SamplingOptions options;
  options.temperature = 0.0;
  options.logit_bias = {{2, 1.5f}, {0, -std::numeric_limits<float>::infinity()}, {2, 1.0f}};
  CHECK(Sampler(options, 4).sample(std::vector<float>{9, 2, 0, 1}) == 2);  // 0 + 2.5
  options.logit_bias.pop_back();
  CHECK(Sampler(options, 4).sample(std::vector<float>{9, 2, 0, 1}) == 1);
  CHECK(parse_logit_bias("15043+1.5").bias == 1.5f);
  CHECK(parse_logit_bias("15043-1").id == 15043);
  CHECK(parse_logit_bias("7-1").bias == -1.0f);
  CHECK(std::isinf(parse_logit_bias("7-inf").bias));
  for (const char* bad :
       {"", "7", "+1", "7+", "7-", "7+nan", "7+inf", "7+1x", "-7+1", "7=1", "7++1"})
    CHECK_THROWS_AS(parse_logit_bias(bad), Error);
  options.logit_bias = {{4, 1.0f}};
  CHECK_THROWS_AS(Sampler(options, 4), Error);
}

TEST_CASE("stages run in the order given and those left out do not act") {
  CHECK(sampler_stages_text(SamplingOptions().stages) ==
        "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature");
  CHECK(sampler_stages_text(parse_sampler_stages("min_p;top_k")) == "min_p;top_k");
  CHECK(parse_sampler_stages("").empty());
  CHECK_THROWS_AS(parse_sampler_stages("top_k;top_q"), Error);
  CHECK_THROWS_AS(parse_sampler_stages("top_k;top_k"), Error);
  // Heated to equality, top-p 0.5 keeps two of four; unheated it keeps one.
  SamplingOptions options;
  options.temperature = 1e5;
  options.top_p = 0.45;
  options.min_p = 0.0;
  const std::vector<float> logits = {1, 5, 2, 3};
  const auto drawn = [&](const char* stages) {
    options.stages = parse_sampler_stages(stages);
    std::vector<bool> seen(4);
    for (options.seed = 0; options.seed < 100; ++options.seed)
      seen[static_cast<std::size_t>(Sampler(options, 4).sample(logits))] = true;
    return seen;
  };
  CHECK(drawn("top_p;temperature") == std::vector<bool>{false, true, false, false});
  CHECK(drawn("temperature;top_p") == std::vector<bool>{false, true, false, true});
  CHECK(drawn("temperature") == std::vector<bool>{true, true, true, true});
}

TEST_CASE("penalties act on greedy choices and see the prompt") {
  SamplingOptions options;
  options.temperature = 0.0;
  options.presence_penalty = 2.0;
  Sampler sampler(options, 3, {.context_tokens = 10, .tokenizer = nullptr, .filter = nullptr});
  sampler.begin(Ids{1});
  const std::vector<float> logits = {4, 5, 3.5f};
  CHECK(sampler.sample(logits) == 0);  // 4, 3, 3.5
  CHECK(sampler.sample(logits) == 2);  // 2, 3, 3.5
  CHECK(sampler.sample(logits) == 1);  // 2, 3, 1.5
}

}  // namespace windlass

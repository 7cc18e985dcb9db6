#include "src/text/mirostat.h"

#include <algorithm>
#include <cmath>

#include "src/text/portable_math.h"

namespace windlass {
namespace {

constexpr double kLn2 = 0x1.62e42fefa39efp-1;
constexpr std::size_t kEstimateTokens = 100;  // the paper's m

// -log2 of the softmax probability.
double surprise_bits(const Candidates& candidates, const Candidate& candidate) {
  const double difference =
      static_cast<double>(candidate.logit) - static_cast<double>(candidates.best().logit);
  return (portable_log(candidates.total_weight()) - difference) / kLn2;
}

}  // namespace

std::int32_t Mirostat::choose(Candidates& candidates, SamplerRandom& random) {
  candidates.sort();
  if (version_ == 1) {
    keep_by_estimate(candidates);
  } else {
    keep_by_surprise(candidates);
  }
  const Candidate chosen = candidates.items()[candidates.draw(random)];
  mu_ -= eta_ * (surprise_bits(candidates, chosen) - tau_);
  return chosen.id;
}

// Fits Zipf's exponent to the likeliest tokens; from it follows how many have a surprise below mu.
void Mirostat::keep_by_estimate(Candidates& candidates) const {
  const auto items = candidates.items();
  double sum_t_b = 0.0, sum_t_t = 0.0;
  for (std::size_t i = 0; i + 1 < std::min(items.size(), kEstimateTokens); ++i) {
    const double t = portable_log(static_cast<double>(i + 2) / static_cast<double>(i + 1));
    const double b = static_cast<double>(items[i].logit) - static_cast<double>(items[i + 1].logit);
    sum_t_b += t * b;
    sum_t_t += t * t;
  }
  if (sum_t_t == 0.0) return;  // one candidate
  const double s = sum_t_b / sum_t_t;
  const double epsilon = s - 1.0;
  const double tail = 1.0 - portable_pow(static_cast<double>(n_vocab_), -epsilon);
  const double ratio = epsilon * portable_exp(mu_ * kLn2) / tail;
  // s near 0 or 1 has no finite answer: then nothing is cut.
  if (!(s > 0.0) || !(ratio > 0.0) || !std::isfinite(ratio)) return;
  const double k = portable_pow(ratio, 1.0 / s);
  if (k < static_cast<double>(items.size()))
    candidates.truncate(std::max<std::size_t>(1, static_cast<std::size_t>(k)));
}

void Mirostat::keep_by_surprise(Candidates& candidates) const {
  const auto items = candidates.items();
  const double log_total = portable_log(candidates.total_weight());
  std::size_t n = 0;
  while (n < items.size()) {
    const double difference =
        static_cast<double>(items[n].logit) - static_cast<double>(items[0].logit);
    if ((log_total - difference) / kLn2 > mu_) break;
    ++n;
  }
  candidates.truncate(std::max<std::size_t>(1, n));
}

}  // namespace windlass

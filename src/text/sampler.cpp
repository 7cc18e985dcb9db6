// The sampler chain. Probabilities are computed in double from the candidates that the stages
// before left.
#include "src/text/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "src/base/check.h"
#include "src/base/error.h"

namespace windlass {
namespace {

using Candidate = std::pair<float, std::int32_t>;  // logit, id

// Highest logit first, lowest id first among equals: a total order, so that results do not depend
// on the sort.
bool goes_before(const Candidate& a, const Candidate& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

void check_options(const SamplingOptions& options) {
  if (!(options.temperature >= 0.0) || !std::isfinite(options.temperature)) {
    fail(ErrorCode::kUsage, "--temp {} is out of range; use 0 (greedy) or more",
         options.temperature);
  }
  if (options.top_k < 0) {
    fail(ErrorCode::kUsage, "--top-k {} is out of range; use 0 (off) or more", options.top_k);
  }
  if (!(options.top_p >= 0.0 && options.top_p <= 1.0)) {
    fail(ErrorCode::kUsage, "--top-p {} is out of range; use 0 to 1 (1 is off)", options.top_p);
  }
  if (!(options.min_p >= 0.0 && options.min_p <= 1.0)) {
    fail(ErrorCode::kUsage, "--min-p {} is out of range; use 0 (off) to 1", options.min_p);
  }
}

std::int32_t greedy(std::span<const float> logits) {
  std::int32_t best = -1;
  float best_logit = -std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || (best >= 0 && !(logits[i] > best_logit))) continue;
    best = static_cast<std::int32_t>(i);
    best_logit = logits[i];
  }
  if (best < 0)
    fail(ErrorCode::kBadFile, "all {} logits are NaN: the model's weights are damaged",
         logits.size());
  return best;
}

// How many of the candidates top-p keeps: the fewest whose probabilities sum to top_p, the
// likeliest first. Sorts the candidates only as far as it looks, in prefixes that double.
std::size_t keep_top_p(std::vector<Candidate>& candidates, float max_logit, double top_p) {
  const auto weight = [&](const Candidate& candidate) {
    return std::exp(static_cast<double>(candidate.first) - static_cast<double>(max_logit));
  };
  double total = 0.0;
  for (const Candidate& candidate : candidates) total += weight(candidate);
  double sum = 0.0;
  std::size_t n_sorted = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (i == n_sorted) {
      const std::size_t end = std::min(candidates.size(), std::max<std::size_t>(64, 2 * n_sorted));
      const auto at = [&](std::size_t n) {
        return candidates.begin() + static_cast<std::ptrdiff_t>(n);
      };
      std::partial_sort(at(n_sorted), at(end), candidates.end(), goes_before);
      n_sorted = end;
    }
    sum += weight(candidates[i]);
    if (sum >= top_p * total) return i + 1;
  }
  return candidates.size();
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options, std::int64_t n_vocab)
    : options_(options), random_(options.seed) {
  check_options(options);
  WINDLASS_CHECK(n_vocab > 0 && n_vocab <= INT32_MAX, n_vocab);
  n_vocab_ = n_vocab;
  if (options_.temperature > 0.0) candidates_.reserve(static_cast<std::size_t>(n_vocab));
}

std::int32_t Sampler::sample(std::span<const float> logits) {
  WINDLASS_CHECK(static_cast<std::int64_t>(logits.size()) == n_vocab_, logits.size(), n_vocab_);
  const std::int32_t best = greedy(logits);
  const float max_logit = logits[static_cast<std::size_t>(best)];
  // An infinite maximum leaves nothing to weigh: it is certain, or nothing is possible.
  if (options_.temperature == 0.0 || std::isinf(max_logit)) return best;
  choose_candidates(logits, max_logit);
  return draw(max_logit);
}

void Sampler::choose_candidates(std::span<const float> logits, float max_logit) {
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] >= -std::numeric_limits<float>::max()) {  // neither NaN nor minus infinity
      candidates_.emplace_back(logits[i], static_cast<std::int32_t>(i));
    }
  }
  const auto top_k = static_cast<std::size_t>(options_.top_k);
  if (top_k > 0 && top_k < candidates_.size()) {
    std::partial_sort(candidates_.begin(), candidates_.begin() + options_.top_k, candidates_.end(),
                      goes_before);
    candidates_.resize(top_k);
  }
  if (options_.top_p < 1.0) candidates_.resize(keep_top_p(candidates_, max_logit, options_.top_p));
  if (options_.min_p > 0.0) {
    // p >= min_p * p_max, in logits.
    const double least = static_cast<double>(max_logit) + std::log(options_.min_p);
    std::erase_if(candidates_, [&](const Candidate& candidate) { return candidate.first < least; });
  }
}

std::int32_t Sampler::draw(float max_logit) {
  const auto weight = [&](const Candidate& candidate) {
    return std::exp((static_cast<double>(candidate.first) - static_cast<double>(max_logit)) /
                    options_.temperature);
  };
  double total = 0.0;
  for (const Candidate& candidate : candidates_) total += weight(candidate);
  // 53 random bits in [0, 1): the standard's distributions differ between libraries, the engine
  // does not.
  double rest = static_cast<double>(random_() >> 11) * 0x1p-53 * total;
  for (const Candidate& candidate : candidates_) {
    rest -= weight(candidate);
    if (rest < 0.0) return candidate.second;
  }
  return std::min_element(candidates_.begin(), candidates_.end(), goes_before)
      ->second;  // rounding left a crumb
}

std::int64_t Sampler::size_bytes() const {
  return static_cast<std::int64_t>(sizeof(*this) + candidates_.capacity() * sizeof(Candidate));
}

}  // namespace windlass

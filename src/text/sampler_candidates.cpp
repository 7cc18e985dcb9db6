#include "src/text/sampler_candidates.h"

#include <algorithm>
#include <cmath>

#include "src/base/check.h"
#include "src/text/portable_math.h"

namespace windlass {
namespace {

// A total order, so that results do not depend on the sort.
bool goes_before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

}  // namespace

Candidates::Candidates(std::int64_t n_vocab, bool for_typical) {
  items_.reserve(static_cast<std::size_t>(n_vocab));
  if (for_typical) typical_.reserve(static_cast<std::size_t>(n_vocab));
}

void Candidates::clear() {
  items_.clear();
  sorted_ = false;
}

std::span<Candidate> Candidates::change() {
  sorted_ = false;
  return items_;
}

const Candidate& Candidates::best() const {
  WINDLASS_CHECK(!items_.empty(), items_.size());
  return sorted_ ? items_.front() : *std::min_element(items_.begin(), items_.end(), goes_before);
}

void Candidates::sort() {
  if (!sorted_) std::sort(items_.begin(), items_.end(), goes_before);
  sorted_ = true;
}

void Candidates::keep_best_only() { items_.assign(1, Candidate(best())); }

void Candidates::keep_top_k(std::int64_t k) {
  const auto n = static_cast<std::size_t>(k);
  if (k <= 0 || n >= items_.size()) return;
  if (!sorted_) {
    std::partial_sort(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(n), items_.end(),
                      goes_before);
  }
  items_.resize(n);
  sorted_ = true;
}

void Candidates::keep_top_n_sigma(double n) {
  if (n < 0.0) return;
  const auto size = static_cast<double>(items_.size());
  double sum = 0.0;
  for (const Candidate& item : items_) sum += static_cast<double>(item.logit);
  const double mean = sum / size;
  double squares = 0.0;
  for (const Candidate& item : items_) {
    const double difference = static_cast<double>(item.logit) - mean;
    squares += difference * difference;
  }
  const double least = static_cast<double>(best().logit) - n * std::sqrt(squares / size);
  std::erase_if(items_, [&](const Candidate& item) { return item.logit < least; });
}

void Candidates::keep_typical(double p) {
  if (p >= 1.0) return;
  const float best_logit = best().logit;
  const double log_total = portable_log(total_weight());
  const auto surprise = [&](const Candidate& item) {
    return log_total - (static_cast<double>(item.logit) - static_cast<double>(best_logit));
  };
  double entropy = 0.0;
  for (const Candidate& item : items_) entropy += portable_exp(-surprise(item)) * surprise(item);
  typical_.clear();
  for (const Candidate& item : items_)
    typical_.emplace_back(std::abs(surprise(item) - entropy), item);
  std::sort(typical_.begin(), typical_.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : goes_before(a.second, b.second);
  });
  double sum = 0.0;
  std::size_t n = 0;
  while (n < typical_.size() && sum <= p) sum += portable_exp(-surprise(typical_[n++].second));
  items_.clear();
  for (std::size_t i = 0; i < n; ++i) items_.push_back(typical_[i].second);
  sorted_ = false;
  sort();
}

void Candidates::keep_top_p(double p) {
  if (p >= 1.0) return;
  const float best_logit = best().logit;
  const double total = total_weight();  // before sorting: part of the list will have no fixed order
  double sum = 0.0;
  std::size_t n_sorted = sorted_ ? items_.size() : 0;
  std::size_t n = 0;
  while (n < items_.size()) {
    if (n == n_sorted) {  // sort no further than we look, in prefixes that double
      const std::size_t end = std::min(items_.size(), std::max<std::size_t>(64, 2 * n_sorted));
      const auto at = [&](std::size_t i) {
        return items_.begin() + static_cast<std::ptrdiff_t>(i);
      };
      std::partial_sort(at(n_sorted), at(end), items_.end(), goes_before);
      n_sorted = end;
    }
    sum += weight(items_[n++], best_logit);
    if (sum >= p * total) break;
  }
  items_.resize(n);
  sorted_ = true;
}

void Candidates::keep_min_p(double p) {
  if (p <= 0.0) return;
  const double least = static_cast<double>(best().logit) + portable_log(p);
  std::erase_if(items_, [&](const Candidate& item) { return item.logit < least; });
}

void Candidates::exclude_top_choices(double probability, double threshold, SamplerRandom& random) {
  const bool now = random.next() < probability;  // drawn in any case: the stream stays in step
  if (!now || items_.size() < 2) return;
  sort();
  const double least = threshold * total_weight();
  std::size_t n_reach = 0;
  while (n_reach < items_.size() && weight(items_[n_reach], items_.front().logit) >= least)
    ++n_reach;
  if (n_reach < 2) return;
  items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(n_reach - 1));
}

void Candidates::heat(double temperature) {
  constexpr double kMost = 3e38;  // a little below the largest float
  if (std::abs(static_cast<double>(best().logit)) / temperature > kMost) return keep_best_only();
  for (Candidate& item : items_) {
    const double heated = static_cast<double>(item.logit) / temperature;
    item.logit = static_cast<float>(std::clamp(heated, -kMost, kMost));
  }
  sorted_ = false;  // rounding may make ties, which go by id
}

double Candidates::weight(const Candidate& candidate, float best_logit) const {
  return portable_exp(static_cast<double>(candidate.logit) - static_cast<double>(best_logit));
}

double Candidates::total_weight() const {
  const float best_logit = best().logit;
  double total = 0.0;
  for (const Candidate& item : items_) total += weight(item, best_logit);
  return total;
}

std::size_t Candidates::draw(SamplerRandom& random) const {
  const float best_logit = best().logit;
  double rest = random.next() * total_weight();
  for (std::size_t i = 0; i < items_.size(); ++i) {
    rest -= weight(items_[i], best_logit);
    if (rest < 0.0) return i;
  }
  return static_cast<std::size_t>(&best() - items_.data());  // rounding left a crumb
}

std::int64_t Candidates::size_bytes() const {
  return static_cast<std::int64_t>(items_.capacity() * sizeof(items_[0]) +
                                   typical_.capacity() * sizeof(typical_[0]));
}

}  // namespace windlass

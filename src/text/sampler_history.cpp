#include "src/text/sampler_history.h"

#include <algorithm>
#include <cmath>

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/text/portable_math.h"

namespace windlass {
namespace {

// base^88.7 / ln(base) would leave float's range: as llama.cpp bounds it.
constexpr double kLogOfLargestFloat = 88.7228391;

std::int64_t window_of(std::int64_t last_n, std::int64_t context_tokens) {
  if (last_n < 0) return context_tokens;
  return context_tokens > 0 ? std::min(last_n, context_tokens) : last_n;
}

}  // namespace

SamplerHistory::SamplerHistory(const SamplingOptions& options, std::int64_t n_vocab,
                               std::int64_t context_tokens, const Tokenizer* tokenizer)
    : options_(options), tokenizer_(tokenizer) {
  const auto vocabulary = static_cast<std::size_t>(n_vocab);
  if (uses_penalties(options)) {
    penalty_window_ = window_of(options.repeat_last_n, context_tokens);
    counts_.resize(vocabulary);
  }
  if (uses_dry(options)) {
    dry_window_ = window_of(options.dry_penalty_last_n, context_tokens);
    repeats_.resize(vocabulary);
    matches_.reserve(static_cast<std::size_t>(dry_window_));
    if (tokenizer_ == nullptr) options_.dry_sequence_breakers.clear();
    for (const std::string& breaker : options_.dry_sequence_breakers)
      longest_breaker_ = std::max(longest_breaker_, breaker.size());
  }
  const auto room = static_cast<std::size_t>(2 * std::max(penalty_window_, dry_window_));
  ids_.reserve(room);
  breaks_.reserve(room);
}

void SamplerHistory::push(std::int32_t id) {
  if (ids_.capacity() == 0) return;
  if (!counts_.empty()) {
    ++counts_[static_cast<std::size_t>(id)];
    if (size() >= penalty_window_)
      --counts_[static_cast<std::size_t>(ids_[static_cast<std::size_t>(size() - penalty_window_)])];
  }
  const auto keep = static_cast<std::ptrdiff_t>(std::max(penalty_window_, dry_window_));
  if (size() == 2 * keep) {
    ids_.erase(ids_.begin(), ids_.begin() + keep);
    breaks_.erase(breaks_.begin(), breaks_.begin() + keep);
  }
  ids_.push_back(id);
  breaks_.push_back(ends_breaker(id) ? 1 : 0);
}

void SamplerHistory::apply_penalties(std::span<Candidate> candidates) const {
  if (penalty_window_ == 0) return;
  for (Candidate& candidate : candidates) {
    const std::int32_t count = counts_[static_cast<std::size_t>(candidate.id)];
    if (count == 0) continue;
    auto logit = static_cast<double>(candidate.logit);
    logit = logit > 0.0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
    logit -= count * options_.frequency_penalty + options_.presence_penalty;
    candidate.logit = static_cast<float>(std::clamp(logit, -3e38, 3e38));
  }
}

void SamplerHistory::apply_dry(std::span<Candidate> candidates) {
  const std::int64_t window = std::min(size(), dry_window_);
  const std::int64_t allowed = options_.dry_allowed_length;
  if (dry_window_ == 0 || window <= allowed) return;
  const std::int64_t limit = tokens_since_breaker(window);
  if (limit < allowed) return;
  measure_repeats(window, limit);
  const double log_base = portable_log(options_.dry_base);
  const double most = log_base > 1e-6 ? std::floor(kLogOfLargestFloat / log_base) : 1e9;
  for (Candidate& candidate : candidates) {
    const std::int32_t repeat = repeats_[static_cast<std::size_t>(candidate.id)] - 1;
    if (repeat < 0 || repeat < allowed || holds_breaker(candidate.id)) continue;
    const double exponent = std::min(static_cast<double>(repeat - allowed), most);
    const double penalty = options_.dry_multiplier * portable_exp(exponent * log_base);
    candidate.logit =
        static_cast<float>(std::max(static_cast<double>(candidate.logit) - penalty, -3e38));
  }
  const std::span<const std::int32_t> latest =
      std::span(ids_).last(static_cast<std::size_t>(window));
  for (const std::int32_t id : latest) repeats_[static_cast<std::size_t>(id)] = 0;
}

// The Z-algorithm over the reversed window: matches_[i] is how many tokens before position i back
// from the end equal the latest ones; the token that followed them then would extend the match.
void SamplerHistory::measure_repeats(std::int64_t window, std::int64_t limit) {
  const std::int32_t* const end = ids_.data() + ids_.size();
  const auto back = [&](std::int64_t i) { return *(end - 1 - i); };
  matches_.assign(static_cast<std::size_t>(window), 0);
  std::int64_t left = 0, right = 0;  // the match that reaches farthest covers [left, right)
  for (std::int64_t i = 1; i < window; ++i) {
    std::int64_t length =
        i < right ? std::min<std::int64_t>(right - i, matches_[static_cast<std::size_t>(i - left)])
                  : 0;
    while (i + length < window && back(length) == back(i + length)) ++length;
    matches_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(length);
    if (i + length > right) left = i, right = i + length;
    std::int32_t& longest = repeats_[static_cast<std::size_t>(back(i - 1))];
    longest = std::max(longest, static_cast<std::int32_t>(std::min(length, limit)) + 1);
  }
}

std::int64_t SamplerHistory::tokens_since_breaker(std::int64_t window) const {
  for (std::int64_t i = 0; i < window; ++i) {
    if (breaks_[static_cast<std::size_t>(size() - 1 - i)] != 0) return i;
  }
  return window;
}

bool SamplerHistory::holds_breaker(std::int32_t id) const {
  if (longest_breaker_ == 0 || id >= tokenizer_->n_vocab()) return false;
  const std::string_view text = tokenizer_->token_bytes(id, false);
  return std::any_of(
      options_.dry_sequence_breakers.begin(), options_.dry_sequence_breakers.end(),
      [&](const std::string& breaker) { return text.find(breaker) != std::string_view::npos; });
}

bool SamplerHistory::ends_breaker(std::int32_t id) {
  if (longest_breaker_ == 0 || id >= tokenizer_->n_vocab()) return false;
  const std::string_view text = tokenizer_->token_bytes(id, false);
  const std::size_t before = tail_.size();
  tail_ += text;
  bool found = false;
  for (const std::string& breaker : options_.dry_sequence_breakers) {
    // Only what ends in this token: it begins at most size - 1 bytes before it.
    const std::size_t from = before - std::min(before, breaker.size() - 1);
    found = found || tail_.find(breaker, from) != std::string::npos;
  }
  if (tail_.size() >= longest_breaker_) tail_.erase(0, tail_.size() - (longest_breaker_ - 1));
  return found;
}

std::int64_t SamplerHistory::size_bytes() const {
  const std::size_t ints =
      ids_.capacity() + counts_.capacity() + repeats_.capacity() + matches_.capacity();
  return static_cast<std::int64_t>(4 * ints + breaks_.capacity() + tail_.capacity());
}

}  // namespace windlass

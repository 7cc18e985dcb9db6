// The latest tokens, prompt included, and the penalties that look back on them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/text/sampler_candidates.h"
#include "src/text/sampling_options.h"
#include "src/text/tokenizer.h"

namespace windlass {

// Owner-thread. Allocates in the constructor only: up to 24 B a token of the longest look-back
// and 4 B a vocabulary entry for each of the two methods, where they are on.
class SamplerHistory {
 public:
  // context_tokens: what a look-back of -1 means. tokenizer (may be null: no sequence breakers)
  // must outlive this.
  SamplerHistory(const SamplingOptions& options, std::int64_t n_vocab, std::int64_t context_tokens,
                 const Tokenizer* tokenizer);
  void push(std::int32_t id);

  // Over the last repeat_last_n tokens: a logit above 0 is divided by the repeat penalty, else
  // multiplied; then count * frequency + presence is subtracted.
  void apply_penalties(std::span<Candidate> candidates) const;
  // DRY: a token that would extend a repetition of n >= allowed_length tokens loses multiplier *
  // base ^ (n - allowed_length). Repetitions do not reach back over a sequence breaker, and tokens
  // that hold one are never punished.
  void apply_dry(std::span<Candidate> candidates);

  std::int64_t size_bytes() const;

 private:
  std::int64_t size() const { return static_cast<std::int64_t>(ids_.size()); }
  bool ends_breaker(std::int32_t id);
  bool holds_breaker(std::int32_t id) const;
  std::int64_t tokens_since_breaker(std::int64_t window) const;
  void measure_repeats(std::int64_t window, std::int64_t limit);

  SamplingOptions options_;
  const Tokenizer* tokenizer_;
  std::int64_t penalty_window_ = 0, dry_window_ = 0;  // tokens; 0: off
  // The latest tokens, oldest first; twice as long as any window before the older half is dropped.
  std::vector<std::int32_t> ids_;
  std::vector<std::uint8_t> breaks_;  // a sequence breaker ends in this token
  std::vector<std::int32_t> counts_;  // [n_vocab] in the penalties' window
  std::vector<std::int32_t>
      repeats_;  // [n_vocab] longest repetition the token would extend, and 1; or 0
  std::vector<std::int32_t> matches_;  // scratch of measure_repeats()
  std::size_t longest_breaker_ = 0;
  std::string tail_;  // the latest text, shorter than a breaker
};

}  // namespace windlass

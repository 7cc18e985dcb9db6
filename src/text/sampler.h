// Choosing the next token from logits. The order, which is llama.cpp's: logit bias, the grammar's
// mask, then the stages of SamplingOptions (penalties, DRY, top-n-sigma, top-k, typical, top-p,
// min-p, XTC, temperature unless --samplers says otherwise), then a draw. With mirostat the stages
// are temperature alone, and it draws. What is promised: the same logits, options and history give
// the same token on any machine (portable_math.h, sampler_candidates.h). Owner-thread; the random
// stream belongs to the sampler.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "src/text/grammar/token_filter.h"
#include "src/text/mirostat.h"
#include "src/text/sampler_candidates.h"
#include "src/text/sampler_history.h"
#include "src/text/sampling_options.h"

namespace windlass {

// What a sampler may need beside its options.
struct SamplerSetting {
  std::int64_t context_tokens = 0;       // what a look-back of -1 means
  const Tokenizer* tokenizer = nullptr;  // for DRY's sequence breakers; must outlive the sampler
  std::unique_ptr<TokenFilter> filter;   // the grammar's; null: none
};

class Sampler {
 public:
  // Error(kUsage) for a value out of its range.
  Sampler(const SamplingOptions& options, std::int64_t n_vocab, SamplerSetting setting = {});
  // A new text: these tokens come before it. The grammar starts again; history and random stream go
  // on. REQUIRES: ids in [0, n_vocab).
  void begin(std::span<const std::int32_t> prompt);
  // logits [n_vocab]. The token counts as chosen: history and grammar move on. Greedy ties go to
  // the lowest id. NaN logits are never chosen; all NaN is Error(kBadFile). Error(kUnsupported)
  // when the grammar can go on by no token of the vocabulary.
  std::int32_t sample(std::span<const float> logits);
  // The grammar is complete and nothing can follow.
  bool finished() const { return filter_ != nullptr && filter_->finished(); }
  // Everything it will ever hold.
  std::int64_t size_bytes() const;

 private:
  std::int32_t choose(std::span<const float> logits);
  void collect(std::span<const float> logits);
  void run(SamplerStage stage);

  SamplingOptions options_;
  std::int64_t n_vocab_;
  bool greedy_;  // nothing but the highest logit decides
  SamplerRandom random_;
  SamplerHistory history_;
  Mirostat mirostat_;
  std::unique_ptr<TokenFilter> filter_;
  Candidates candidates_;
  std::int32_t fallback_ =
      -1;  // the lowest id that may be chosen, if all logits are minus infinity
};

}  // namespace windlass

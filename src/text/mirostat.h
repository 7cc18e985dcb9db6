// Mirostat (Basu et al. 2021), versions 1 and 2 as llama.cpp has them: keeps the surprise of the
// chosen tokens near a target.
#pragma once

#include <cstdint>

#include "src/text/sampler_candidates.h"
#include "src/text/sampling_options.h"

namespace windlass {

// Owner-thread. Allocates nothing.
class Mirostat {
 public:
  Mirostat(const SamplingOptions& options, std::int64_t n_vocab)
      : version_(options.mirostat),
        n_vocab_(n_vocab),
        tau_(options.mirostat_tau),
        eta_(options.mirostat_eta),
        mu_(2.0 * options.mirostat_tau) {}
  // Truncates, draws a token, and learns from its surprise.
  std::int32_t choose(Candidates& candidates, SamplerRandom& random);

 private:
  void keep_by_estimate(Candidates& candidates) const;  // version 1
  void keep_by_surprise(Candidates& candidates) const;  // version 2

  std::int64_t version_, n_vocab_;
  double tau_, eta_;
  double mu_;  // bits: what is more surprising is not chosen
};

}  // namespace windlass

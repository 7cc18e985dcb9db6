// Choosing the next token from logits: greedy, or temperature with top-k, top-p and min-p, as
// llama.cpp orders them (top-k, top-p, min-p, temperature). Owner-thread; the random stream belongs
// to the sampler.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

namespace windlass {

struct SamplingOptions {
  double temperature = 0.8;  // 0: greedy
  std::int64_t top_k = 40;   // 0: off
  double top_p = 0.95;       // 1: off
  double min_p = 0.05;       // 0: off
  std::uint64_t seed = 0;
};

class Sampler {
 public:
  // Error(kUsage) for a value out of its range.
  Sampler(const SamplingOptions& options, std::int64_t n_vocab);
  // logits [n_vocab]. Greedy ties go to the lowest id. NaN logits are never chosen; all NaN is
  // Error(kBadFile).
  std::int32_t sample(std::span<const float> logits);
  std::int64_t size_bytes() const;

 private:
  // Leaves in candidates_ what top-k, top-p and min-p let through.
  void choose_candidates(std::span<const float> logits, float max_logit);
  std::int32_t draw(float max_logit);

  SamplingOptions options_;
  std::int64_t n_vocab_ = 0;
  std::mt19937_64 random_;
  std::vector<std::pair<float, std::int32_t>> candidates_;  // reserved once; (logit, id)
};

}  // namespace windlass

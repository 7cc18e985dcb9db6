// The tokens that may still be chosen, and the stages that narrow them down. All arithmetic is
// deterministic: sums run in list order, which never depends on a library's sort (ties go to the
// lower id), and exp and log are portable_math's.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

namespace windlass {

struct Candidate {
  float logit;
  std::int32_t id;
};

// The random stream: std::mt19937_64, which the C++ standard fixes to the bit; 53 of its 64 bits a
// number. The standard's distributions differ between libraries, so none is used.
class SamplerRandom {
 public:
  explicit SamplerRandom(std::uint64_t seed) : engine_(seed) {}
  double next() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }  // [0, 1)

 private:
  std::mt19937_64 engine_;
};

// Owner-thread. Nothing allocates but the constructor. The stages REQUIRE at least one candidate
// and leave at least one; logits are finite.
class Candidates {
 public:
  // for_typical: room for keep_typical().
  Candidates(std::int64_t n_vocab, bool for_typical);

  void clear();
  // In ascending order of ids.
  void add(float logit, std::int32_t id) { items_.push_back({logit, id}); }
  std::span<const Candidate> items() const { return items_; }
  // For stages that change logits; the order is forgotten.
  std::span<Candidate> change();
  const Candidate& best() const;  // the highest logit, the lowest id among equals
  void sort();                    // best first

  void keep_best_only();
  void keep_top_k(std::int64_t k);
  // Those within n standard deviations of the highest logit.
  void keep_top_n_sigma(double n);
  // Locally typical sampling (Meister et al. 2022): nearest to the entropy first, until p is
  // passed.
  void keep_typical(double p);
  // The fewest that reach p, best first.
  void keep_top_p(double p);
  // Those at least p times as likely as the best.
  void keep_min_p(double p);
  // Exclude top choices: with this probability, all that reach the threshold but the least of them.
  void exclude_top_choices(double probability, double threshold, SamplerRandom& random);
  void heat(double temperature);  // REQUIRES: above 0
  // The first n after sort().
  void truncate(std::size_t n) { items_.resize(n); }

  // Weights relative to the best: exp(logit - best logit), and their sum.
  double total_weight() const;
  double weight(const Candidate& candidate, float best_logit) const;
  // An index drawn by softmax.
  std::size_t draw(SamplerRandom& random) const;

  std::int64_t size_bytes() const;

 private:
  std::vector<Candidate> items_;
  bool sorted_ = false;
  std::vector<std::pair<double, Candidate>> typical_;  // distance from the entropy
};

}  // namespace windlass

// Which cached run of an expert goes first: the one that is least likely to be wanted when its
// layer comes round again.
//
// How likely that is, is made of two measured parts. How often a run is wanted: tokens routed to
// it, a token counting half as much half_life_tokens later, which is LRFU (Lee et al., IEEE Trans.
// Computers 50, 2001) with tokens as its clock; counts are kept of runs that are not cached too.
// And how much more often tokens go where the token before them went than that alone would explain:
// what the last token wanted is worth so much more, until its layer comes round. Recency alone
// fails: layers come in a cycle, so what was used longest ago is what comes next.
// bench/micro/expert_cache_bench.cpp compares.
#pragma once

#include <cstdint>
#include <vector>

namespace windlass {

// On made-up routings: where popularity stays, longer is better, by 1 point of hit rate at most;
// where topics change every 200 tokens 32 is better by 1 or 2 points and 256 worse by 4 to 8
// (docs/measurements/expert-cache.md).
inline constexpr double kHalfLifeTokens = 64;

// Keys 0 .. n-1 and a heap of those that may go. Owner-thread; allocates only in the constructor,
// 52 B a key. Each call costs O(log n) a key at most, but for begin_step, which once in some 20,000
// tokens costs O(n).
class EvictionOrder {
 public:
  EvictionOrder(std::int64_t n_keys, double half_life_tokens);
  // A step of so many tokens, later than those before, in which keys are used in n_routings groups:
  // the same ones in the same order each step.
  void begin_step(std::int64_t tokens, std::int64_t n_routings);
  void begin_routing();  // the next group
  // `tokens` of the step were routed to the key. REQUIRES !may_go(key).
  void use(std::int32_t key, std::int64_t tokens);
  bool may_go(std::int32_t key) const { return place_[static_cast<std::size_t>(key)] >= 0; }
  void let_go(std::int32_t key);  // REQUIRES !may_go(key)
  void keep(std::int32_t key);    // REQUIRES may_go(key)
  bool empty() const { return heap_.empty(); }
  std::int32_t first() const { return heap_.front(); }  // REQUIRES !empty()
  // Of what a token wants, the share that it wants because the token before did.
  double repeat_share() const;

 private:
  struct Key {
    double count = 0;           // decayed uses, in units that grow (weight_)
    double bonus = 0;           // while it is what the last token wanted, likewise
    std::int64_t last_use = 0;  // tokens_ then
    std::int64_t routing = 0;   // routings_ then
    std::uint32_t history = 0;  // bit i: used i tokens before last_use
  };

  Key& at(std::int32_t key) { return keys_[static_cast<std::size_t>(key)]; }
  double value(std::int32_t key) const {
    const Key& k = keys_[static_cast<std::size_t>(key)];
    return k.count + k.bonus;
  }
  void note_repeats(Key& key);
  void rescale();
  void push_recent(std::int32_t key);
  bool before(std::int32_t a, std::int32_t b) const;
  void put(std::size_t place, std::int32_t key);
  void sift_up(std::size_t place);
  void sift_down(std::size_t place);

  double half_life_tokens_;
  double weight_ = 1;  // of a use now: counts grow instead of decaying
  std::int64_t tokens_ = 0, step_tokens_ = 0, routings_ = 0, n_routings_ = 0;
  double repeats_ = 0, chances_ = 0;  // shares of uses that were used 1, and 4 to 7, tokens before
  std::vector<Key> keys_;
  std::vector<std::int32_t> place_;   // in the heap, by key; -1: not there
  std::vector<std::int32_t> heap_;    // least value first
  std::vector<std::int32_t> recent_;  // keys with a bonus, a circle in order of use
  std::size_t recent_begin_ = 0, n_recent_ = 0;
};

}  // namespace windlass

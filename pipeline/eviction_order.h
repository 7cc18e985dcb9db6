// Which cached run of an expert goes first: the one that the fewest tokens were routed to, a token
// counting half as much half_life_tokens later.
//
// This is LRFU (Lee et al., "LRFU: a spectrum of policies that subsumes the least recently used and
// least frequently used policies", IEEE Trans. Computers 50, 2001) with tokens as its clock, and
// with counts kept for runs that are not cached too. Recency alone fails here: layers come round in
// a cycle, so what was used longest ago is what comes next. bench/micro/expert_cache_bench.cpp
// compares.
#pragma once

#include <cstdint>
#include <vector>

namespace windlass {

// On made-up routings: where popularity stays, longer is better, by 1 point of hit rate at most;
// where topics change every 200 tokens 32 is better by 1 point and 256 worse by 4 to 8
// (docs/measurements).
inline constexpr double kHalfLifeTokens = 64;

// Keys 0 .. n-1 and a heap of those that may go. Owner-thread; allocates only in the constructor,
// 20 B a key. Each call costs O(log n) at most, but for pass(), which once in some 20,000 tokens
// costs O(n).
class EvictionOrder {
 public:
  EvictionOrder(std::int64_t n_keys, double half_life_tokens);
  void pass(std::int64_t tokens);  // so many tokens later
  // `tokens` were routed to the key now. REQUIRES !may_go(key).
  void use(std::int32_t key, std::int64_t tokens);
  bool may_go(std::int32_t key) const { return place_[static_cast<std::size_t>(key)] >= 0; }
  void let_go(std::int32_t key);  // REQUIRES !may_go(key)
  void keep(std::int32_t key);    // REQUIRES may_go(key)
  bool empty() const { return heap_.empty(); }
  std::int32_t first() const { return heap_.front(); }  // REQUIRES !empty()

 private:
  bool before(std::int32_t a, std::int32_t b) const;
  void put(std::size_t place, std::int32_t key);
  void sift_up(std::size_t place);
  void sift_down(std::size_t place);

  double growth_;                    // of a use's weight, a token
  double weight_ = 1;                // of a use now: counts grow instead of decaying
  std::vector<double> count_;        // by key
  std::vector<std::int32_t> place_;  // in the heap, by key; -1: not there
  std::vector<std::int32_t> heap_;   // least count first
};

}  // namespace windlass

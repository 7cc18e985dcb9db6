// BPE's merge rules over token ids: which pair becomes which token, and in which order.
#pragma once

#include <cstdint>
#include <vector>

namespace windlass {

// Thread-compatible; const methods are thread-safe. Costs 12 B a rule and 8 to 16 B a rule for the
// index.
class MergeTable {
 public:
  struct Merge {
    std::int32_t rank;    // lower goes first; kNone: the pair does not merge
    std::int32_t result;  // token id
  };
  static constexpr std::int32_t kNone = INT32_MAX;

  // No rule may be added beyond n_rules. REQUIRES: 0 <= n_rules < kNone.
  explicit MergeTable(std::int64_t n_rules);
  // Rules are added in rank order. A pair that is there already keeps its first rank.
  void add(std::int32_t left, std::int32_t right, std::int32_t result);
  Merge find(std::int32_t left, std::int32_t right) const;
  std::int64_t size_bytes() const;

 private:
  struct Rule {
    std::int32_t left, right, result;
  };
  std::size_t slot_of(std::int32_t left, std::int32_t right) const;

  std::vector<Rule> rules_;  // by rank
  std::vector<std::int32_t>
      slots_;  // hash to rank, -1: empty; a power of two of them, at most half full
};

}  // namespace windlass

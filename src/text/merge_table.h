// BPE's merge rules over token ids: which pair becomes which token, and in which order.
#pragma once

#include <cstdint>
#include <vector>

namespace windlass {

// Thread-compatible; const methods are thread-safe. Costs 21 to 43 B a rule: an open-addressing
// table whose entries are the rules, so that a lookup is one cache miss.
class MergeTable {
 public:
  struct Merge {
    std::int32_t rank;    // lower goes first; kNone: the pair does not merge
    std::int32_t result;  // token id
  };
  static constexpr std::int32_t kNone = INT32_MAX;

  // No rule may be added beyond n_rules. REQUIRES: 0 <= n_rules < kNone.
  explicit MergeTable(std::int64_t n_rules);
  // Of a pair that is there already the lower rank stays. REQUIRES: 0 <= rank < kNone.
  void add(std::int32_t left, std::int32_t right, Merge merge);
  Merge find(std::int32_t left, std::int32_t right) const {
    return rules_[slot_of(left, right)].merge;
  }
  std::int64_t size_bytes() const;

 private:
  struct Rule {
    std::int32_t left = -1;
    std::int32_t right = -1;
    Merge merge{kNone, -1};  // kNone: an empty entry
  };
  // Where the pair's rule is, or the empty entry where it would be.
  std::size_t slot_of(std::int32_t left, std::int32_t right) const;

  std::int64_t n_rules_;     // that may be added
  std::vector<Rule> rules_;  // a power of two, at most three quarters full
};

}  // namespace windlass

// The hash table of merge rules.
#include "src/text/merge_table.h"

#include <bit>

#include "src/base/check.h"

namespace windlass {

MergeTable::MergeTable(std::int64_t n_rules) : n_rules_(n_rules) {
  WINDLASS_CHECK(n_rules >= 0 && n_rules < kNone, n_rules);
  const auto n = static_cast<std::size_t>(n_rules);
  rules_.resize(std::bit_ceil(n + n / 3 + 2));
}

void MergeTable::add(std::int32_t left, std::int32_t right, Merge merge) {
  WINDLASS_CHECK(merge.rank >= 0 && merge.rank < kNone, merge.rank);
  WINDLASS_CHECK(--n_rules_ >= 0, n_rules_);
  Rule& rule = rules_[slot_of(left, right)];
  if (merge.rank < rule.merge.rank) rule = {left, right, merge};
}

std::int64_t MergeTable::size_bytes() const {
  return static_cast<std::int64_t>(rules_.capacity() * sizeof(Rule));
}

std::size_t MergeTable::slot_of(std::int32_t left, std::int32_t right) const {
  const std::size_t mask = rules_.size() - 1;
  const std::uint64_t pair = static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
                             static_cast<std::uint32_t>(right);
  // Fibonacci hashing (2^64 / golden ratio): the high bits of the product depend on all bits of the
  // pair.
  std::size_t slot = (pair * 0x9E3779B97F4A7C15ull >> 32) & mask;
  while (rules_[slot].merge.rank != kNone &&
         (rules_[slot].left != left || rules_[slot].right != right)) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

}  // namespace windlass

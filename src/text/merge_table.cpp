// Merge rules by rank, with an open-addressing index over the pairs.
#include "src/text/merge_table.h"

#include <bit>

#include "src/base/check.h"

namespace windlass {

MergeTable::MergeTable(std::int64_t n_rules) {
  WINDLASS_CHECK(n_rules >= 0 && n_rules < kNone, n_rules);
  rules_.reserve(static_cast<std::size_t>(n_rules));
  slots_.assign(std::bit_ceil(static_cast<std::size_t>(n_rules) * 2 + 1), -1);
}

void MergeTable::add(std::int32_t left, std::int32_t right, std::int32_t result) {
  WINDLASS_CHECK(rules_.size() < rules_.capacity(), rules_.capacity());
  std::int32_t& slot = slots_[slot_of(left, right)];
  if (slot < 0) slot = static_cast<std::int32_t>(rules_.size());
  rules_.push_back({left, right, result});
}

MergeTable::Merge MergeTable::find(std::int32_t left, std::int32_t right) const {
  const std::int32_t rank = slots_[slot_of(left, right)];
  if (rank < 0) return {kNone, -1};
  return {rank, rules_[static_cast<std::size_t>(rank)].result};
}

std::int64_t MergeTable::size_bytes() const {
  return static_cast<std::int64_t>(rules_.capacity() * sizeof(Rule) +
                                   slots_.capacity() * sizeof(slots_[0]));
}

std::size_t MergeTable::slot_of(std::int32_t left, std::int32_t right) const {
  const std::size_t mask = slots_.size() - 1;
  const std::uint64_t pair = static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
                             static_cast<std::uint32_t>(right);
  // Fibonacci hashing (2^64 / golden ratio): the high bits of the product depend on all bits of the
  // pair.
  std::size_t slot = (pair * 0x9E3779B97F4A7C15ull >> 32) & mask;
  while (slots_[slot] >= 0) {
    const Rule& rule = rules_[static_cast<std::size_t>(slots_[slot])];
    if (rule.left == left && rule.right == right) break;
    slot = (slot + 1) & mask;
  }
  return slot;
}

}  // namespace windlass

// BPE merging with a linked list of symbols and a heap of candidate merges.
#include "src/text/bpe_merger.h"

#include <algorithm>
#include <functional>

#include "src/base/check.h"

namespace windlass {
namespace {

// A word longer than this is no word of any language; its work arrays are given back
// at once.
constexpr std::size_t kKeptSymbols = 1024;

}  // namespace

void BpeMerger::start(std::size_t max_symbols) {
  symbols_.clear();
  symbols_.reserve(max_symbols);
  heap_.clear();
}

void BpeMerger::push(std::int32_t id) {
  WINDLASS_CHECK(symbols_.size() < INT32_MAX);
  const auto index = static_cast<std::int32_t>(symbols_.size());
  if (index > 0) at(index - 1).next = index;
  symbols_.push_back({id, index - 1, -1, {MergeTable::kNone, -1}});
}

void BpeMerger::finish(std::vector<std::int32_t>& ids) {
  for (std::int32_t index = 0; index + 1 < static_cast<std::int32_t>(symbols_.size()); ++index)
    queue(index);
  while (!heap_.empty()) {
    const std::uint64_t best = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>{});
    heap_.pop_back();
    const auto index = static_cast<std::int32_t>(best & 0xFFFFFFFFu);
    if (at(index).merge.rank == static_cast<std::int32_t>(best >> 32)) merge_with_next(index);
  }
  for (std::int32_t index = symbols_.empty() ? -1 : 0; index >= 0; index = at(index).next) {
    ids.push_back(at(index).id);
  }
  release_large_arrays();
}

std::int64_t BpeMerger::size_bytes() const {
  return static_cast<std::int64_t>(symbols_.capacity() * sizeof(Symbol) +
                                   heap_.capacity() * sizeof(heap_[0]));
}

void BpeMerger::queue(std::int32_t index) {
  Symbol& symbol = at(index);
  symbol.merge = symbol.next < 0 ? MergeTable::Merge{MergeTable::kNone, -1}
                                 : table_.find(symbol.id, at(symbol.next).id);
  if (symbol.merge.rank == MergeTable::kNone) return;
  heap_.push_back(static_cast<std::uint64_t>(symbol.merge.rank) << 32 |
                  static_cast<std::uint32_t>(index));
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>{});
}

void BpeMerger::merge_with_next(std::int32_t index) {
  Symbol& left = at(index);
  Symbol& right = at(left.next);
  left.id = left.merge.result;
  left.next = right.next;
  right.merge.rank = MergeTable::kNone;  // dead: its queued entry no longer counts
  if (left.next >= 0) at(left.next).previous = index;
  queue(index);
  if (left.previous >= 0) queue(left.previous);
}

void BpeMerger::release_large_arrays() {
  if (symbols_.capacity() > kKeptSymbols) std::vector<Symbol>().swap(symbols_);
  if (heap_.capacity() > kKeptSymbols) std::vector<std::uint64_t>().swap(heap_);
}

}  // namespace windlass

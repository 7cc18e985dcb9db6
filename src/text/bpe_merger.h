// Applies BPE merges to one word: always the pair of lowest rank, the leftmost of equal ones. O(n
// log n) in its symbols.
#pragma once

#include <cstdint>
#include <vector>

#include "src/text/merge_table.h"

namespace windlass {

// Owner-thread: the work arrays are reused from word to word.
class BpeMerger {
 public:
  // The table must outlive it.
  explicit BpeMerger(const MergeTable& table) : table_(table) {}

  // A word is: start(), push() for each of its at most max_symbols ids, finish(), which appends the
  // merged ids to `ids`. Work memory: up to 40 B a symbol; of a long word it is given back at once.
  void start(std::size_t max_symbols);
  void push(std::int32_t id);
  void finish(std::vector<std::int32_t>& ids);
  std::int64_t size_bytes() const;

 private:
  struct Symbol {
    std::int32_t id;
    std::int32_t previous;  // symbol index, -1 at the ends
    std::int32_t next;
    MergeTable::Merge merge;  // of this symbol with the next
  };

  Symbol& at(std::int32_t index) { return symbols_[static_cast<std::size_t>(index)]; }
  // Looks up the merge of the symbol with its next and queues it if there is one.
  void queue(std::int32_t index);
  void merge_with_next(std::int32_t index);
  void release_large_arrays();

  const MergeTable& table_;
  std::vector<Symbol> symbols_;
  // Candidate merges as rank << 32 | symbol index, a min-heap. Entries are not taken back when a
  // neighbour changes the pair: one whose rank is no longer its symbol's is skipped.
  std::vector<std::uint64_t> heap_;
};

}  // namespace windlass

// The memory of the host tier: one anonymous mapping, reserved once, carved by offset.
// Nothing is freed singly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/base/arena_range.h"
#include "tiers/budget.h"

namespace windlass {

// Owner-thread. Carved sizes are rounded up to 4 KiB, so every range can take direct reads.
// Outlives whatever reads into it (DiskLink), and does not outlive the budgets it charged.
class Arena {
 public:
  // Maps size_bytes (rounded up to 4 KiB) of zeroed memory, touched lazily. From 64 MiB up, carved
  // memory is backed by huge pages where the system has them. Error(kNoSpace) when it refuses.
  explicit Arena(std::int64_t size_bytes);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Carves the next range and charges it to budget under tag for the arena's life.
  // Error(kNoSpace) from the budget; REQUIRES the arena to be large enough (planned sizes are
  // exact).
  ArenaRange carve(Budget& budget, Tag tag, std::int64_t size_bytes);
  std::byte* at(std::int64_t offset_bytes) const;
  std::byte* at(const ArenaRange& range) const { return at(range.offset_bytes); }
  std::int64_t size_bytes() const { return size_bytes_; }
  std::int64_t carved_bytes() const { return carved_bytes_; }
  // Of the pages that carved memory is backed by where the system has them.
  std::int64_t page_bytes() const;
  // Makes a range resident now, contents kept (page faults out of the step path).
  // Error(kNoSpace) when the system is out of memory.
  void populate(const ArenaRange& range);

 private:
  void advise_huge_pages();

  std::byte* base_ = nullptr;  // on a huge page border
  std::int64_t size_bytes_ = 0;
  std::int64_t carved_bytes_ = 0;
  std::int64_t huge_end_bytes_ = 0;  // huge pages are asked for below this
  std::vector<Reservation> reservations_;
};

}  // namespace windlass

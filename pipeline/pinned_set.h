// A set of pinned blocks and the arena bytes that it takes, kept up to date block by block.
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/schedule.h"
#include "tiers/block.h"

namespace windlass {

// File neighbours that are held together are one run: one read, and the page in which they meet
// counts once. Copying costs a bit per block of the model.
class PinnedSet {
 public:
  // Empty. `blocks` outlives the set.
  explicit PinnedSet(const BlockTable& blocks);
  const BlockTable& blocks() const { return *blocks_; }
  bool holds(BlockId id) const { return held_[static_cast<std::size_t>(index_of(id))]; }
  // What bytes() rises by when `id` comes, or falls by when it goes.
  std::int64_t cost_bytes(BlockId id) const;
  void add(BlockId id);     // REQUIRES: !holds(id)
  void remove(BlockId id);  // REQUIRES: holds(id)
  std::int64_t bytes() const { return bytes_; }
  // One after another from arena offset `first_offset_bytes` on; they take bytes().
  std::vector<PlacedRun> runs(std::int64_t first_offset_bytes) const;

 private:
  // Bytes that a run of both takes less than a run of each.
  std::int64_t shared_bytes(std::int32_t index) const;  // of blocks index and index + 1
  const BlockTable* blocks_;
  std::vector<bool> held_;
  std::int64_t bytes_ = 0;
};

// Adds what fits of `candidates`, in their order, until the set takes room_bytes at most.
void fill(PinnedSet& set, const std::vector<BlockId>& candidates, std::int64_t room_bytes);

// Adds blocks of `candidates` (execution order) to the set until it takes about room_bytes and
// never more: evenly spread in stretches of `unit` blocks, then whatever still fits.
void fill_evenly(PinnedSet& set, const std::vector<BlockId>& candidates, std::int64_t room_bytes,
                 std::size_t unit);

}  // namespace windlass

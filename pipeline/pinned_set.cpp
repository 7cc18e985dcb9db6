#include "pipeline/pinned_set.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/units.h"

namespace windlass {
namespace {

std::int64_t begin_page_bytes(const BlockTable& blocks, BlockId id) {
  return align_down(blocks.at(id).extent.offset_bytes, kDirectAlignment);
}
std::int64_t end_page_bytes(const BlockTable& blocks, BlockId id) {
  return align_up(blocks.at(id).extent.end_bytes(), kDirectAlignment);
}

// Picks candidates of about wanted_bytes in all, spread evenly over them, by carrying the rounding
// error of the wanted share from stretch to stretch (Bresenham's line).
std::vector<BlockId> spread(const BlockTable& blocks, const std::vector<BlockId>& candidates,
                            std::int64_t wanted_bytes, std::size_t unit) {
  const auto size_of = [&](BlockId id) {
    return static_cast<double>(blocks.at(id).extent.size_bytes);
  };
  double total = 0;
  for (const BlockId id : candidates) total += size_of(id);
  const double share = total > 0 ? static_cast<double>(wanted_bytes) / total : 0;
  std::vector<BlockId> picked;
  double owed = 0;
  for (std::size_t begin = 0; begin < candidates.size(); begin += unit) {
    const std::size_t end = std::min(begin + unit, candidates.size());
    double stretch = 0;
    for (std::size_t i = begin; i < end; ++i) stretch += size_of(candidates[i]);
    owed += share * stretch;
    if (owed < stretch / 2) continue;
    owed -= stretch;
    picked.insert(picked.end(), candidates.begin() + static_cast<std::ptrdiff_t>(begin),
                  candidates.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return picked;
}

}  // namespace

PinnedSet::PinnedSet(const BlockTable& blocks)
    : blocks_(&blocks), held_(blocks.blocks().size(), false) {}

std::int64_t PinnedSet::shared_bytes(std::int32_t index) const {
  const BlockId first{index}, second{index + 1};
  if (!adjoins(*blocks_, first, second)) return 0;
  return end_page_bytes(*blocks_, first) - begin_page_bytes(*blocks_, second);
}

std::int64_t PinnedSet::cost_bytes(BlockId id) const {
  const std::int32_t i = index_of(id);
  const auto at = static_cast<std::size_t>(i);
  std::int64_t cost = end_page_bytes(*blocks_, id) - begin_page_bytes(*blocks_, id);
  if (at > 0 && held_[at - 1]) cost -= shared_bytes(i - 1);
  if (at + 1 < held_.size() && held_[at + 1]) cost -= shared_bytes(i);
  return cost;
}

void PinnedSet::add(BlockId id) {
  WINDLASS_CHECK(!holds(id), index_of(id));
  bytes_ += cost_bytes(id);
  held_[static_cast<std::size_t>(index_of(id))] = true;
}

void PinnedSet::remove(BlockId id) {
  WINDLASS_CHECK(holds(id), index_of(id));
  bytes_ -= cost_bytes(id);
  held_[static_cast<std::size_t>(index_of(id))] = false;
}

std::vector<PlacedRun> PinnedSet::runs(std::int64_t first_offset_bytes) const {
  std::vector<PlacedRun> runs;
  std::int64_t offset = first_offset_bytes;
  const auto end = static_cast<std::int32_t>(held_.size());
  for (std::int32_t i = 0; i < end; ++i) {
    if (!holds(BlockId{i})) continue;
    BlockRange range{BlockId{i}, 1};
    while (i + 1 < end && holds(BlockId{i + 1}) && adjoins(*blocks_, BlockId{i}, BlockId{i + 1})) {
      ++range.count;
      ++i;
    }
    runs.push_back({make_run(*blocks_, range), offset});
    offset += runs.back().run.aligned.size_bytes;
  }
  return runs;
}

void fill(PinnedSet& set, const std::vector<BlockId>& candidates, std::int64_t room_bytes) {
  for (const BlockId id : candidates) {
    if (!set.holds(id) && set.bytes() + set.cost_bytes(id) <= room_bytes) set.add(id);
  }
}

void fill_evenly(PinnedSet& set, const std::vector<BlockId>& candidates, std::int64_t room_bytes,
                 std::size_t unit) {
  // The ends of the stretches take more than their blocks' bytes: the wanted bytes shrink until
  // all fits.
  constexpr std::int64_t kLeastStepBytes = 64 * kKiB;
  const PinnedSet before = set;
  for (std::int64_t wanted = room_bytes - before.bytes(); wanted > 0;) {
    for (const BlockId id : spread(set.blocks(), candidates, wanted, unit)) set.add(id);
    const std::int64_t excess = set.bytes() - room_bytes;
    if (excess <= 0) break;
    wanted -= std::max(excess, kLeastStepBytes);
    set = before;
  }
  fill(set, candidates, room_bytes);
}

}  // namespace windlass

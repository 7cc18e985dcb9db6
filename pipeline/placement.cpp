#include "pipeline/placement.h"

#include <algorithm>

#include "src/base/units.h"

namespace windlass {
namespace {

// Below this a tensor is not worth streaming: its read would cost more in requests than in bytes
// (64 KiB at 0.9 GB/s is 73 us, a request's latency is about 100 us).
constexpr std::int64_t kSmallBytes = 64 * kKiB;

std::int64_t size_of(const BlockTable& blocks, BlockId id) {
  return blocks.at(id).extent.size_bytes;
}

std::int64_t slot_bytes_for(const BlockTable& blocks, const std::vector<BlockId>& touched) {
  std::int64_t slot = 0;
  for (const BlockId id : touched) {
    if (size_of(blocks, id) < kSmallBytes) continue;
    slot = std::max(slot, make_run(blocks, {id, 1}).aligned.size_bytes);
  }
  return slot;
}

// Chosen blocks, ascending, merged into runs of file neighbours: one read each, and fewer pages
// lost to rounding.
std::vector<PlacedRun> merge_runs(const BlockTable& blocks, std::vector<BlockId> chosen) {
  std::sort(chosen.begin(), chosen.end());
  std::vector<PlacedRun> runs;
  for (std::size_t i = 0; i < chosen.size();) {
    BlockRange range{chosen[i], 1};
    BlockId last = chosen[i];
    for (++i; i < chosen.size() && adjoins(blocks, last, chosen[i]); ++i) {
      last = chosen[i];
      ++range.count;
    }
    runs.push_back({make_run(blocks, range), 0});
  }
  std::int64_t offset = 0;
  for (PlacedRun& placed : runs) {
    placed.arena_offset_bytes = offset;
    offset += placed.run.aligned.size_bytes;
  }
  return runs;
}

std::int64_t arena_bytes(const std::vector<PlacedRun>& runs) {
  return runs.empty() ? 0 : runs.back().arena_offset_bytes + runs.back().run.aligned.size_bytes;
}

// Picks large blocks worth about `room_bytes`, spread evenly over `large` (execution order) in
// stretches of `unit` blocks, by carrying the rounding error of the wanted share from stretch to
// stretch (Bresenham's line).
std::vector<bool> spread(const BlockTable& blocks, const std::vector<BlockId>& large,
                         std::int64_t room_bytes, std::size_t unit) {
  std::int64_t total = 0;
  for (const BlockId id : large) total += size_of(blocks, id);
  const double share = total > 0 ? static_cast<double>(room_bytes) / static_cast<double>(total) : 0;
  std::vector<bool> pinned(large.size(), false);
  double owed = 0;
  for (std::size_t begin = 0; begin < large.size(); begin += unit) {
    const std::size_t end = std::min(begin + unit, large.size());
    double stretch = 0;
    for (std::size_t i = begin; i < end; ++i)
      stretch += static_cast<double>(size_of(blocks, large[i]));
    owed += share * stretch;
    if (owed < stretch / 2) continue;
    owed -= stretch;
    std::fill(pinned.begin() + static_cast<std::ptrdiff_t>(begin),
              pinned.begin() + static_cast<std::ptrdiff_t>(end), true);
  }
  return pinned;
}

struct Candidates {
  std::vector<BlockId> small, large;  // both in execution order
};

std::vector<BlockId> chosen_blocks(const Candidates& candidates, const std::vector<bool>& pinned) {
  std::vector<BlockId> chosen = candidates.small;
  for (std::size_t i = 0; i < pinned.size(); ++i) {
    if (pinned[i]) chosen.push_back(candidates.large[i]);
  }
  return chosen;
}

// The spread set, shrunk until its runs fit with their rounding, then filled up with single blocks.
std::vector<PlacedRun> fit(const BlockTable& blocks, const Candidates& candidates,
                           std::int64_t room_bytes, std::size_t unit) {
  std::int64_t wanted = room_bytes;
  for (const BlockId id : candidates.small) wanted -= make_run(blocks, {id, 1}).aligned.size_bytes;
  std::vector<bool> pinned =
      spread(blocks, candidates.large, std::max<std::int64_t>(wanted, 0), unit);
  std::vector<PlacedRun> runs = merge_runs(blocks, chosen_blocks(candidates, pinned));
  while (arena_bytes(runs) > room_bytes && wanted > 0) {
    wanted -= std::max<std::int64_t>(arena_bytes(runs) - room_bytes, kSmallBytes);
    pinned = spread(blocks, candidates.large, std::max<std::int64_t>(wanted, 0), unit);
    runs = merge_runs(blocks, chosen_blocks(candidates, pinned));
  }
  std::int64_t left = room_bytes - arena_bytes(runs);
  for (std::size_t i = 0; i < pinned.size(); ++i) {
    if (pinned[i]) continue;
    const std::int64_t cost = make_run(blocks, {candidates.large[i], 1}).aligned.size_bytes;
    if (cost > left) continue;
    pinned[i] = true;
    left -= cost;  // an upper bound: a neighbour shares its rounding
  }
  return merge_runs(blocks, chosen_blocks(candidates, pinned));
}

// What more fits between steps of one row, spread over the blocks that stream otherwise.
std::vector<PlacedRun> fit_decode(const BlockTable& blocks, const Candidates& all,
                                  const std::vector<PlacedRun>& pinned, const HostNeeds& needs,
                                  std::size_t unit) {
  const std::int64_t first =
      align_up(needs.activation_bytes - needs.reusable_activation_bytes, kDirectAlignment);
  std::vector<bool> taken(blocks.blocks().size(), false);
  for (const PlacedRun& placed : pinned) {
    const auto begin = taken.begin() + index_of(placed.run.blocks.first);
    std::fill(begin, begin + placed.run.blocks.count, true);
  }
  Candidates rest;
  for (const BlockId id : all.large) {
    if (!taken[static_cast<std::size_t>(index_of(id))]) rest.large.push_back(id);
  }
  const std::int64_t end = align_down(needs.activation_bytes, kDirectAlignment);
  std::vector<PlacedRun> runs = fit(blocks, rest, std::max<std::int64_t>(end - first, 0), unit);
  for (PlacedRun& placed : runs) placed.arena_offset_bytes += first;
  return runs;
}

}  // namespace

std::vector<BlockId> touched_blocks(const LayerGraph& graph, const BlockTable& blocks) {
  std::vector<BlockId> touched;
  std::vector<bool> seen(blocks.blocks().size(), false);
  for (const GraphOp& op : graph.ops) {
    if (op.weight == kNoTensor || op.kind == OpKind::kEmbedRows) continue;
    const BlockRange range = blocks.of_tensor(op.weight);
    for (std::int32_t i = 0; i < range.count; ++i) {
      const std::int32_t id = index_of(range.first) + i;
      if (seen[static_cast<std::size_t>(id)]) continue;
      seen[static_cast<std::size_t>(id)] = true;
      touched.push_back(BlockId{id});
    }
  }
  return touched;
}

std::variant<Placement, Infeasible> place(const LayerGraph& graph, const BlockTable& blocks,
                                          const HostNeeds& needs, std::int64_t ring_slots) {
  const std::vector<BlockId> touched = touched_blocks(graph, blocks);
  Placement placement;
  placement.staging_bytes = align_up(needs.staging_bytes, kDirectAlignment);
  placement.activation_bytes = align_up(needs.activation_bytes, kDirectAlignment);
  placement.kv_bytes = align_up(needs.kv_bytes, kDirectAlignment);
  placement.table_bytes = needs.table_bytes;
  const std::int64_t fixed = placement.total_bytes();

  Candidates candidates;
  for (const BlockId id : touched) {
    (size_of(blocks, id) < kSmallBytes ? candidates.small : candidates.large).push_back(id);
  }
  const std::int64_t slot_bytes = slot_bytes_for(blocks, touched);
  const std::int64_t small_bytes = arena_bytes(merge_runs(blocks, candidates.small));
  if (ring_slots == 0) {
    placement.pinned = merge_runs(blocks, touched);
    placement.pinned_bytes = arena_bytes(placement.pinned);
    if (placement.total_bytes() <= needs.limit_bytes) return placement;
    return Infeasible{placement.total_bytes()};
  }
  const std::int64_t room = needs.limit_bytes - fixed - ring_slots * slot_bytes;
  if (room < small_bytes) return Infeasible{fixed + ring_slots * slot_bytes + small_bytes};
  // Stretches of up to four blocks: long enough that the 8 KiB which a stretch's ends cost stay
  // below 0.2 % of it, short enough for the ring (four slots and more) to bridge; single blocks
  // where a model has few.
  const std::size_t unit = std::clamp<std::size_t>(candidates.large.size() / 256, 1, 4);
  placement.pinned = fit(blocks, candidates, room, unit);
  placement.pinned_bytes = arena_bytes(placement.pinned);
  placement.decode_pinned = fit_decode(blocks, candidates, placement.pinned, needs, unit);
  placement.ring_slots = ring_slots;
  placement.slot_bytes = slot_bytes;
  return placement;
}

std::int64_t least_limit_bytes(const LayerGraph& graph, const BlockTable& blocks, HostNeeds needs) {
  needs.limit_bytes = 0;
  return std::min(std::get<Infeasible>(place(graph, blocks, needs, 0)).least_bytes,
                  std::get<Infeasible>(place(graph, blocks, needs, kMinRingSlots)).least_bytes);
}

}  // namespace windlass

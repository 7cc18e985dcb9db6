#include "pipeline/placement.h"

#include <algorithm>
#include <random>

#include "pipeline/expert_runs.h"
#include "pipeline/pinned_set.h"
#include "src/base/check.h"
#include "src/base/units.h"

namespace windlass {
namespace {

// Below this a tensor is not worth streaming: its read would cost more in requests than in bytes
// (64 KiB at 0.9 GB/s is 73 us, a request's latency is about 100 us).
constexpr std::int64_t kSmallBytes = 64 * kKiB;

// Of up to 12 blocks all choices are tried to which no block can be added: 12 over 6 = 924 at most.
constexpr std::size_t kExactBlocks = 12;
// Of more than 64 blocks one is less than 2 % of the step, and the even spread does as well.
constexpr std::size_t kSearchBlocks = 64;
// Choices tried in between. On 300 cases of 13 and 14 blocks 295 came within 1 % of the best, all
// within 3 %; 8 rings of 58 blocks cost 30 ms.
constexpr int kMostTrials = 400;

std::int64_t size_of(const BlockTable& blocks, BlockId id) {
  return blocks.at(id).extent.size_bytes;
}

// Touched blocks that the host is to have, in execution order.
std::vector<BlockId> host_blocks(const LayerGraph& graph, const BlockTable& blocks,
                                 const HostNeeds& needs) {
  std::vector<BlockId> wanted = touched_blocks(graph, blocks);
  if (needs.in_vram == nullptr) return wanted;
  std::erase_if(
      wanted, [&](BlockId id) { return (*needs.in_vram)[static_cast<std::size_t>(index_of(id))]; });
  return wanted;
}

std::int64_t slot_bytes_for(const BlockTable& blocks, const std::vector<BlockId>& streamed) {
  std::int64_t slot = 0;
  for (const BlockId id : streamed) {
    slot = std::max(slot, make_run(blocks, {id, 1}).aligned.size_bytes);
  }
  return slot;
}

Placement fixed_parts(const HostNeeds& needs) {
  Placement placement;
  placement.staging_bytes = align_up(needs.staging_bytes, kDirectAlignment);
  placement.activation_bytes = align_up(needs.activation_bytes, kDirectAlignment);
  placement.kv_bytes = align_up(needs.kv_bytes, kDirectAlignment);
  placement.table_bytes = needs.table_bytes;
  placement.vram.staging_slots = needs.vram_staging_slots;
  placement.vram.staging_slot_bytes = needs.vram_staging_slot_bytes;
  return placement;
}

std::variant<Placement, Infeasible> place_all(const LayerGraph& graph, const BlockTable& blocks,
                                              const HostNeeds& needs) {
  PinnedSet all(blocks);
  for (const BlockId id : host_blocks(graph, blocks, needs)) all.add(id);
  for (const Run& run : expert_runs(graph, blocks)) {
    for (std::int32_t i = 0; i < run.blocks.count; ++i) {
      const BlockId id{index_of(run.blocks.first) + i};
      if (!all.holds(id)) all.add(id);
    }
  }
  Placement placement = fixed_parts(needs);
  placement.pinned = all.runs(0);
  placement.pinned_bytes = all.bytes();
  if (placement.total_bytes() <= needs.limit_bytes) return placement;
  return Infeasible{placement.total_bytes()};
}

// One model under one budget with so many slots: what each choice of pinned blocks amounts to.
class Placer {
 public:
  // REQUIRES a ring or an expert cache.
  Placer(const LayerGraph& graph, const BlockTable& blocks, const HostNeeds& needs,
         const SlotCounts& slots)
      : blocks_(blocks), needs_(needs), small_(blocks) {
    for (const BlockId id : host_blocks(graph, blocks, needs)) {
      if (slots.ring == 0 || is_small(blocks, id)) {
        small_.add(id);
      } else {
        large_.push_back(id);
      }
    }
    frame_ = fixed_parts(needs);
    frame_.ring_slots = slots.ring;
    frame_.slot_bytes = slot_bytes_for(blocks, large_);
    const std::vector<Run> experts = expert_runs(graph, blocks);
    WINDLASS_CHECK(experts.empty() == (slots.experts == 0), experts.size(), slots.experts);
    n_experts_ = std::ssize(experts);
    frame_.expert_slots = std::min(slots.experts, n_experts_);
    for (const Run& run : experts) {
      frame_.expert_slot_bytes = std::max(frame_.expert_slot_bytes, run.aligned.size_bytes);
    }
    room_bytes_ = needs.limit_bytes - frame_.total_bytes();
  }

  // The limit that leaves room for what is always pinned and nothing else.
  std::int64_t least_bytes() const { return frame_.total_bytes() + small_.bytes(); }

  PinnedSet spread_evenly() const {
    PinnedSet pinned = small_;
    fill_evenly(pinned, large_, room_bytes_, unit());
    return pinned;
  }

  Placement placement_of(const PinnedSet& pinned) const {
    Placement placement = frame_;
    placement.pinned = pinned.runs(0);
    placement.pinned_bytes = pinned.bytes();
    placement.decode_pinned = decode_runs(pinned);
    if (n_experts_ > 0) {
      const std::int64_t more = (room_bytes_ - pinned.bytes()) / frame_.expert_slot_bytes;
      placement.expert_slots = std::min(frame_.expert_slots + more, n_experts_);
      add_decode_slots(placement);
    }
    return placement;
  }

  Placement soonest(const StepTime& step_s) const;

 private:
  std::size_t unit() const { return std::clamp<std::size_t>(large_.size() / 256, 1, 4); }
  // What a decode step leaves unused of the activations: [begin, end), in whole pages.
  std::int64_t reusable_begin() const {
    return align_up(needs_.activation_bytes - needs_.reusable_activation_bytes, kDirectAlignment);
  }
  std::int64_t reusable_end() const {
    return align_down(needs_.activation_bytes, kDirectAlignment);
  }
  std::vector<PlacedRun> decode_runs(const PinnedSet& pinned) const;
  void add_decode_slots(Placement& placement) const;
  bool fits(const PinnedSet& pinned, BlockId id) const {
    return !pinned.holds(id) && pinned.bytes() + pinned.cost_bytes(id) <= room_bytes_;
  }
  void add_full_sets(const PinnedSet& pinned, std::size_t next, std::vector<PinnedSet>& sets) const;
  PinnedSet exchanged(PinnedSet pinned, std::mt19937& random) const;

  const BlockTable& blocks_;
  const HostNeeds& needs_;
  PinnedSet small_;             // always pinned: small tensors, or all where there is no ring
  std::vector<BlockId> large_;  // the others, in execution order
  Placement frame_;             // all but the pinned blocks
  std::int64_t n_experts_ = 0;  // matrices
  std::int64_t room_bytes_ = 0;
};

// What more fits between decode steps, spread over the blocks that stream otherwise.
std::vector<PlacedRun> Placer::decode_runs(const PinnedSet& pinned) const {
  if (reusable_end() <= reusable_begin()) return {};
  std::vector<BlockId> rest;
  for (const BlockId id : large_) {
    if (!pinned.holds(id)) rest.push_back(id);
  }
  PinnedSet set(blocks_);
  fill_evenly(set, rest, reusable_end() - reusable_begin(), unit());
  return set.runs(reusable_begin());
}

void Placer::add_decode_slots(Placement& placement) const {
  const std::int64_t room = reusable_end() - reusable_begin();
  if (!placement.decode_pinned.empty() || room <= 0) return;
  placement.decode_expert_slots =
      std::min(room / placement.expert_slot_bytes, n_experts_ - placement.expert_slots);
  placement.decode_expert_offset_bytes = reusable_begin();
}

// Every set to which no block can be added, large_[next] and later ones being open.
void Placer::add_full_sets(const PinnedSet& pinned, std::size_t next,
                           std::vector<PinnedSet>& sets) const {
  if (next == large_.size()) {
    if (std::none_of(large_.begin(), large_.end(), [&](BlockId id) { return fits(pinned, id); }))
      sets.push_back(pinned);
    return;
  }
  if (fits(pinned, large_[next])) {
    PinnedSet with = pinned;
    with.add(large_[next]);
    add_full_sets(with, next + 1, sets);
  }
  add_full_sets(pinned, next + 1, sets);
}

// One to four pinned blocks go, and what then fits comes, in an order drawn by chance.
PinnedSet Placer::exchanged(PinnedSet pinned, std::mt19937& random) const {
  // std::shuffle's order differs between libraries; the same plan is wanted everywhere.
  std::vector<BlockId> order = large_;
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  std::size_t n_out = 1 + random() % 4;
  for (auto id = order.begin(); id != order.end() && n_out > 0; ++id) {
    if (!pinned.holds(*id)) continue;
    pinned.remove(*id);
    --n_out;
  }
  fill(pinned, order, room_bytes_);
  return pinned;
}

Placement Placer::soonest(const StepTime& step_s) const {
  PinnedSet pinned = spread_evenly();
  Placement best = placement_of(pinned);
  if (large_.size() > kSearchBlocks || n_experts_ > 0) return best;
  double best_s = step_s(best);
  const auto try_set = [&](const PinnedSet& set) {
    Placement placement = placement_of(set);
    const double s = step_s(placement);
    if (s >= best_s) return;
    best_s = s;
    best = std::move(placement);
    pinned = set;
  };
  if (large_.size() <= kExactBlocks) {
    std::vector<PinnedSet> sets;
    add_full_sets(small_, 0, sets);
    for (const PinnedSet& set : sets) try_set(set);
    return best;
  }
  std::mt19937 random(1);
  for (int i = 0; i < kMostTrials; ++i) try_set(exchanged(pinned, random));
  return best;
}

}  // namespace

bool is_small(const BlockTable& blocks, BlockId id) {
  if (size_of(blocks, id) >= kSmallBytes) return false;
  const BlockRange tensor = blocks.of_tensor(blocks.at(id).tensor);
  const BlockId last{index_of(tensor.first) + tensor.count - 1};
  return blocks.at(last).extent.end_bytes() - blocks.at(tensor.first).extent.offset_bytes <
         kSmallBytes;
}

std::vector<BlockId> touched_blocks(const LayerGraph& graph, const BlockTable& blocks) {
  std::vector<BlockId> touched;
  std::vector<bool> seen(blocks.blocks().size(), false);
  for (const GraphOp& op : graph.ops) {
    if (op.weight == kNoTensor || fetches_rows(op.kind) || has_experts(op)) continue;
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
                                          const HostNeeds& needs, const SlotCounts& slots) {
  if (slots.ring == 0 && slots.experts == 0) return place_all(graph, blocks, needs);
  const Placer placer(graph, blocks, needs, slots);
  if (needs.limit_bytes < placer.least_bytes()) return Infeasible{placer.least_bytes()};
  return placer.placement_of(placer.spread_evenly());
}

std::variant<Placement, Infeasible> place_for(const LayerGraph& graph, const BlockTable& blocks,
                                              const HostNeeds& needs, const SlotCounts& slots,
                                              const StepTime& step_s) {
  if (slots.ring == 0 && slots.experts == 0) return place_all(graph, blocks, needs);
  const Placer placer(graph, blocks, needs, slots);
  if (needs.limit_bytes < placer.least_bytes()) return Infeasible{placer.least_bytes()};
  return placer.soonest(step_s);
}

std::int64_t least_limit_bytes(const LayerGraph& graph, const BlockTable& blocks, HostNeeds needs) {
  needs.limit_bytes = 0;
  const auto least = [&](const SlotCounts& slots) {
    return std::get<Infeasible>(place(graph, blocks, needs, slots)).least_bytes;
  };
  const bool experts = std::any_of(graph.ops.begin(), graph.ops.end(), has_experts);
  if (!experts) return std::min(least(0), least(kMinRingSlots));
  return std::min({least(0), least({0, kMinExpertSlots}), least({kMinRingSlots, kMinExpertSlots})});
}

}  // namespace windlass

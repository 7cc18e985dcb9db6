// Which blocks stay in host memory and which stream through the ring: the pinned set of a dense
// model.
//
// Dense layers are visited in a cycle, so any recency policy would evict just what comes next (law
// 7). A fixed set of pinned bytes saves exactly its bytes in every step; what matters besides its
// size is that pinned and streamed stretches alternate through the step, so that the disk always
// has a free slot to fill while pinned weights are computed. Of routed experts a step touches a
// few, not known before: a dense byte in memory saves more, so the expert cache gets what dense
// weights leave, or as much as it is given where they do not all fit.
#pragma once

#include <cstdint>
#include <functional>
#include <variant>
#include <vector>

#include "pipeline/schedule.h"
#include "src/model/layer_graph.h"

namespace windlass {

// Bytes that no placement can do without, and the limit.
struct HostNeeds {
  std::int64_t limit_bytes = 0;
  std::int64_t staging_bytes = 0, activation_bytes = 0, kv_bytes = 0, table_bytes = 0;
  // Of the activations: what a decode step leaves unused, at their end.
  std::int64_t reusable_activation_bytes = 0;
  // What blocks pass through on their way to VRAM.
  std::int64_t vram_staging_slots = 0, vram_staging_slot_bytes = 0;
  // By block: those of VRAM that the host need not hold. Null: none.
  const std::vector<bool>* in_vram = nullptr;
  std::int64_t fixed_bytes() const {
    return staging_bytes + activation_bytes + kv_bytes + table_bytes +
           vram_staging_slots * vram_staging_slot_bytes;
  }
};

// The least limit that would do.
struct Infeasible {
  std::int64_t least_bytes = 0;
};

// The weight blocks that every step touches wholly, in order of first use: all but rows fetched
// singly and experts.
std::vector<BlockId> touched_blocks(const LayerGraph& graph, const BlockTable& blocks);

// Whether the block is of a small tensor, which is not worth streaming. (A stack of small matrices
// is cut into small blocks and may be large.)
bool is_small(const BlockTable& blocks, BlockId id);

// Slots of the ring (0: no ring, all dense weights are pinned or it is infeasible) and of the
// expert cache (0: experts are pinned too, or there are none; else at least so many, and more where
// room is left when all dense weights are pinned). REQUIRES expert slots beside a ring in a model
// of experts.
struct SlotCounts {
  SlotCounts(std::int64_t ring_slots, std::int64_t expert_slots = 0)
      : ring(ring_slots), experts(expert_slots) {}
  std::int64_t ring, experts;
};

// Everything that could be pinned under `needs` with these slots. Value of a block: bytes not read
// per step, its 4 KiB rounding included, per byte held: so small tensors come first, then stretches
// spread evenly through the step, then whatever still fits.
std::variant<Placement, Infeasible> place(const LayerGraph& graph, const BlockTable& blocks,
                                          const HostNeeds& needs, const SlotCounts& slots);

// Predicted seconds of the step that a placement is to make short.
using StepTime = std::function<double(const Placement&)>;

// As place(); but where a model has so few large blocks that each of them counts, the choice of
// them that makes the step shortest: of up to 12 the best, of up to 64 the best of those tried. The
// same on every call. Costs up to 1000 calls of step_s, none for a model of more blocks or with
// experts.
std::variant<Placement, Infeasible> place_for(const LayerGraph& graph, const BlockTable& blocks,
                                              const HostNeeds& needs, const SlotCounts& slots,
                                              const StepTime& step_s);

// Two slots: one is read while the other is computed.
inline constexpr std::int64_t kMinRingSlots = 2;
inline constexpr std::int64_t kMinExpertSlots = 2;

// The least limit under which place() succeeds, with ring and expert cache or without.
std::int64_t least_limit_bytes(const LayerGraph& graph, const BlockTable& blocks, HostNeeds needs);

}  // namespace windlass

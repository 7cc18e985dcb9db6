// Placement over three tiers: what TierModel's counts mean in blocks of VRAM and memory.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pipeline/pinned_set.h"
#include "pipeline/placement.h"
#include "pipeline/planner.h"
#include "pipeline/tier_model.h"
#include "tiers/kv_pages.h"

namespace windlass {

// What no placement with a GPU can do without, and the limits.
struct TierNeeds {
  HostNeeds host;  // of host.kv_bytes and staging for VRAM the placement decides itself
  std::int64_t vram_limit_bytes = 0, vram_activation_bytes = 0, vram_table_bytes = 0;
  std::int64_t vram_tile_columns = 0;
  KvShape kv;  // of all layers
  std::int64_t context_tokens = 0, n_sequences = 1;
  StepLoad decode, prefill;
  // Seconds of a prefill step count so much of a decode step's.
  double prefill_weight = 1.0 / 128;
};

// One model on one machine with a GPU.
class TierPlacer {
 public:
  // Everything given outlives it, but for parts.
  TierPlacer(const CostModelParts& parts, const BlockTable& blocks, const TierNeeds& needs,
             const OnGpu& on_gpu = nullptr);

  struct Choice {
    TierRules rules;
    double ring_share = 1.0 / 64;  // of VRAM
  };
  // Nothing where it does not fit.
  std::optional<Placement> place(const Choice& choice) const;
  // The least --vram with which the GPU can compute anything.
  std::int64_t least_vram_bytes() const;
  // The least time that any schedule could take for such a step under the budgets.
  Bound bound(const StepLoad& load) const;

  const TierModel& model() const { return model_; }
  // For the counts; all but the ring of VRAM taken off.
  TierRoom room(double ring_share) const;

 private:
  enum class Home : std::uint8_t { kVram, kStream, kInPlace, kSplit };
  struct UnitPlace {
    Home home = Home::kInPlace;
    bool kv_in_vram = false, prefill_on_cpu = false;
    double split_vram_bytes = 0, split_stream_bytes = 0;
  };
  struct SplitBlocks {
    std::vector<BlockId> vram, streamed;
  };
  struct RingSize {
    std::int64_t slots = 0, slot_bytes = 0;
    std::int64_t bytes() const { return slots * slot_bytes; }
  };

  RingSize ring_of(double share) const;
  RingSize staging() const;
  std::int64_t kv_bytes(std::int64_t n_layers) const;
  std::vector<UnitPlace> unit_places(const std::vector<TierCounts>& counts) const;
  double size_of(BlockId id) const;
  double bytes_of(const std::vector<BlockId>& ids) const;
  void divide(const ModelUnit& unit, const UnitPlace& place, SplitBlocks& blocks) const;
  PinnedSet vram_blocks(const std::vector<UnitPlace>& places, const SplitBlocks& split,
                        std::int64_t room_bytes) const;
  std::vector<Site> sites(const std::vector<UnitPlace>& places, bool decode) const;
  std::optional<Placement> with_host(const VramPlacement& vram,
                                     const std::vector<UnitPlace>& places) const;

  CostModelParts parts_;
  const BlockTable& blocks_;
  const TierNeeds& needs_;
  std::vector<ModelUnit> units_;
  TierModel model_;
  std::int64_t largest_block_bytes_ = 0, small_bytes_ = 0;
};

}  // namespace windlass

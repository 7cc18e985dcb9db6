// What a session has because of a GPU, beside its VRAM: pinned host memory, what moves weights to
// the device, and the lane that its entries run on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "pipeline/gpu_lane.h"
#include "pipeline/gpu_tables.h"
#include "pipeline/vram_memory.h"
#include "tiers/vram_tier.h"

namespace windlass {

struct GpuPartParts {
  Device& device;
  const DeviceOpTable& ops;
  const Placement& placement;
  const BlockTable& blocks;
  const VramMemory& memory;
  TierManager& host_tier;
  std::span<std::byte> host_pinned;       // the host's pinned set; whole pages
  std::span<std::byte> host_activations;  // whole pages
  std::span<std::byte> staging;           // placement.vram.staging_bytes(); whole pages
  const OpBinder<CpuBackend>& host;
  OpBinderParts binder;  // but for the activations: those of `memory` are taken
  std::span<const KvPages> sequences;
};

// Owner-thread. All parts outlive it.
class GpuPart {
 public:
  // Error(kNoSpace) where the system refuses to pin what cannot do without: activations, staging.
  explicit GpuPart(const GpuPartParts& parts);

  // Loads the weights that stay in VRAM, unless they are there; progress(bytes done) may throw,
  // then none are.
  void load(const std::function<void(std::int64_t)>& progress);
  GpuLane& lane() { return lane_; }
  const GpuLane& lane() const { return lane_; }
  const VramTier& tier() const { return tier_; }
  // What this system does not give; one line each.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  std::vector<PinnedMemory> pin(const GpuPartParts& parts);

  const GpuPartParts parts_;
  bool loaded_ = false;
  Stream compute_;
  std::vector<std::string> notes_;
  std::span<const std::byte> pinned_host_;  // what of host_pinned the device copies from
  std::vector<PinnedMemory> pins_;
  VramTier tier_;
  GpuTables tables_;
  GpuLane lane_;
};

}  // namespace windlass

// The VRAM of one session: its budget, and the arena, carved as the placement says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "pipeline/schedule.h"
#include "src/device/device.h"
#include "tiers/budget.h"
#include "tiers/kv_pages.h"

namespace windlass {

// Thread-compatible. Addresses are the device's.
class VramMemory {
 public:
  // Of an arena of size_bytes(placement). Error(kNoSpace) when that does not fit limit_bytes.
  VramMemory(DeviceArena arena, const VramPlacement& placement, const KvShape& kv,
             std::int64_t context_tokens, std::int64_t limit_bytes);
  VramMemory(const VramMemory&) = delete;
  VramMemory& operator=(const VramMemory&) = delete;
  // With what carving rounds up.
  static std::int64_t size_bytes(const VramPlacement& placement);

  std::byte* pinned() const { return arena_.at(pinned_); }
  std::byte* ring() const { return arena_.at(ring_); }
  std::byte* activations() const { return arena_.at(activations_); }
  std::byte* tables() const { return arena_.at(tables_); }
  // Where a sequence's keys and values of a layer lie; null for layers homed in the host.
  std::byte* kv_layer(std::int64_t sequence, std::int64_t layer) const;
  const Budget& budget() const { return budget_; }

 private:
  ArenaRange carve(Tag tag, std::int64_t size_bytes);

  std::vector<Tier> kv_home_;  // by layer
  std::int64_t layer_bytes_;
  Budget budget_;
  DeviceArena arena_;
  std::vector<Reservation> reservations_;
  ArenaRange pinned_, ring_, activations_, tables_, kv_;
};

}  // namespace windlass

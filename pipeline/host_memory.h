// The host memory of one session: its budget, and the arena, carved as the placement says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pipeline/session_plan.h"
#include "pipeline/vram_memory.h"
#include "tiers/arena.h"
#include "tiers/budget.h"
#include "tiers/kv_pages.h"

namespace windlass {

// Thread-compatible. Outlives every read into it.
class HostMemory {
 public:
  // Reserves the plan's tables and all parts of its placement; keys and values of some layers may
  // lie in `vram`. Error(kNoSpace) when they do not fit limit_bytes, or the system refuses.
  HostMemory(const SessionPlan& plan, std::int64_t limit_bytes, const VramMemory* vram = nullptr);

  std::byte* pinned() const { return arena_.at(pinned_); }
  // Whole pages.
  std::span<std::byte> pinned_bytes() const { return bytes(pinned_); }
  std::span<std::byte> activation_bytes() const { return bytes(activations_); }
  std::span<std::byte> vram_staging() const { return bytes(vram_staging_); }
  std::byte* ring() const { return arena_.at(ring_); }
  std::byte* experts() const { return arena_.at(experts_); }
  std::byte* activations() const { return arena_.at(activations_); }
  std::span<std::byte> staging() const { return bytes(staging_); }
  // Rings, staging and expert cache, which lie side by side: one region to register for all reads
  // of the step path.
  std::span<std::byte> streamed() const;
  std::span<std::byte> all() const {
    return {arena_.at(0), static_cast<std::size_t>(arena_.carved_bytes())};
  }
  // What the system backs it with, at best.
  std::int64_t page_bytes() const { return arena_.page_bytes(); }
  // Makes all but the KV pages resident now: page faults out of the step path.
  void populate();
  const Budget& budget() const { return budget_; }

 private:
  std::span<std::byte> bytes(const ArenaRange& range) const {
    return {arena_.at(range), static_cast<std::size_t>(range.size_bytes)};
  }
  void add_sequence(const SessionPlan& plan, const VramMemory* vram);

  Budget budget_;
  Reservation tables_;
  Arena arena_;
  ArenaRange pinned_, ring_, staging_, experts_, vram_staging_, activations_;

 public:
  std::vector<KvPages> kv;  // one for each sequence
};

}  // namespace windlass

// The streaming ring of host memory: slots filled in order, ahead of use, across entries, layers
// and steps; freed in order.
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/schedule.h"
#include "tiers/tier_manager.h"

namespace windlass {

// Plays the loads of one Plan after another. Owner-thread; allocates only in the constructor.
class Ring {
 public:
  // memory: slots * slot_bytes, kDirectAlignment aligned; outlives the ring and tiers' reads into
  // it.
  Ring(TierManager& tiers, std::byte* memory, std::int64_t slots, std::int64_t slot_bytes);

  // The loads to play now and, ahead of their step, next (null: nothing ahead). What was read ahead
  // for `plan` stays; what was read ahead for another plan is dropped.
  void begin_step(const Plan* plan, const Plan* next);
  // Issues loads into free slots, in order: all that fit (up to one whose blocks are still held),
  // or (ahead == false) only those that `entry` needs.
  void pump(std::int32_t entry, bool ahead);
  // Frees the slots whose last user was `entry`.
  void release(std::int32_t entry);
  // Drops what was read ahead unless it was for `plan`.
  void keep_only(const Plan* plan);
  // Drops everything read ahead.
  void clear();
  std::int64_t loads_ahead() const { return issued_ - static_cast<std::int64_t>(released_); }

 private:
  const LoadEntry& load(std::size_t index) const;  // index runs over plan's loads, then next's
  std::size_t n_loads() const;
  void drop_front();
  bool is_held(const Run& run) const;

  TierManager& tiers_;
  std::byte* memory_;
  std::int64_t slots_, slot_bytes_;
  const Plan* plan_ = nullptr;
  const Plan* next_ = nullptr;
  std::int64_t issued_ = 0;    // loads of this step's list that were started
  std::size_t released_ = 0;   // and given back
  std::int64_t deadline_ = 0;  // grows by one a load, over all steps
};

}  // namespace windlass

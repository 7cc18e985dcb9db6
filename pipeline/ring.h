// A streaming ring, of host memory or of VRAM: slots filled in order, ahead of use, across entries,
// layers and steps; freed in order.
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/schedule.h"
#include "tiers/run_loader.h"

namespace windlass {

// Plays one of the lists of loads of one Plan after another. Owner-thread; allocates only in the
// constructor.
class Ring {
 public:
  using Loads = std::vector<LoadEntry> Plan::*;
  // memory: slots * slot_bytes of the loader's, which outlives the ring and what is loaded into it.
  Ring(RunLoader& loader, std::byte* memory, std::int64_t slots, std::int64_t slot_bytes,
       Loads loads = &Plan::loads);

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
  std::int64_t deadline(std::size_t index) const;
  std::size_t n_loads() const;
  void drop_front();
  bool is_held(const Run& run) const;

  RunLoader& loader_;
  std::byte* memory_;
  std::int64_t slots_, slot_bytes_;
  Loads loads_;
  const Plan* plan_ = nullptr;
  const Plan* next_ = nullptr;
  std::int64_t issued_ = 0;     // loads of this step's list that were started
  std::size_t released_ = 0;    // and given back
  std::int64_t n_started_ = 0;  // over all steps
  std::int64_t step_ = 0;
};

}  // namespace windlass

// The host memory that holds routed experts: slots of one matrix each, filled as routing asks and
// emptied in the order of EvictionOrder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pipeline/eviction_order.h"
#include "pipeline/schedule.h"
#include "tiers/tier_manager.h"

namespace windlass {

struct ExpertStats {
  std::int64_t hits = 0, misses = 0;  // matrices that an entry found there, or waited for
};

// How many matrices are read before they are used, at most: enough bytes for the disk's queue (16
// MiB: 16 reads of 1 MiB), and not more than half of the slots, since each pushes one out that may
// be wanted again.
std::int64_t expert_read_ahead(std::int64_t slots, std::int64_t slot_bytes);
// Hits that routing without preference among n_runs matrices gives: slots that do not read ahead
// hold what counted most and change little.
double expected_hit_rate(const Placement& placement, std::int64_t n_runs, bool decode);

// Where the slots are: at home, and, while hold_more() says so, elsewhere too.
struct ExpertMemory {
  std::byte *home = nullptr, *more = nullptr;  // kDirectAlignment aligned
  std::int64_t slots = 0, more_slots = 0, slot_bytes = 0;
};

// Plays what a step's routing asks for. Owner-thread; allocates only in the constructor.
class ExpertCache {
 public:
  // runs: expert_runs() of the model. The memory outlives the cache and tiers' reads into it. 0
  // slots: experts are none of its business. Else REQUIRES slots >= kMinExpertSlots, and that all
  // runs fit a slot.
  ExpertCache(TierManager& tiers, std::span<const Run> runs, const ExpertMemory& memory);

  bool in_use() const { return !runs_.empty(); }
  // From now on the other slots hold experts too, or none. REQUIRES that nothing is wanted.
  void hold_more(bool more);
  // A step of so many rows and routings begins.
  void begin_step(std::int64_t rows, std::int64_t n_routings) {
    order_.begin_step(rows, n_routings);
  }
  // A routing is known: what comes until the next one. One want() for each matrix with rows, in the
  // order of use. REQUIRES that all that was wanted before is used.
  void begin_routed();
  void want(std::int32_t run, std::int64_t rows);
  // Issues reads, in order, as far as slots may be taken for them; never one's that is still
  // wanted.
  void pump();
  // The next wanted matrix is due: its reads are under way when this returns. Every call is
  // followed by used(), or by give_up().
  void require(std::int32_t run);
  void used(std::int32_t run);
  // The step ended in the middle: forgets what was wanted and drops what is loading; what is
  // present stays.
  void give_up();
  ExpertStats stats() const { return stats_; }

 private:
  enum class Wanted : std::uint8_t { kNo, kHeld, kRead };  // was there, or read for this routing

  std::int32_t& slot_of(std::int32_t run) { return slot_of_[static_cast<std::size_t>(run)]; }
  Wanted& wanted_as(std::int32_t run) { return wanted_as_[static_cast<std::size_t>(run)]; }
  const Run& run_at(std::int32_t run) const { return runs_[static_cast<std::size_t>(run)]; }
  bool take_slot();
  void take_slot_of_last_wanted();
  void evict(std::int32_t run);
  bool start(std::int32_t run);
  std::byte* address_of(std::int32_t slot) const;

  TierManager& tiers_;
  std::span<const Run> runs_;
  ExpertMemory memory_;
  std::int64_t read_ahead_;
  bool holds_more_ = false;
  EvictionOrder order_;                // of what is present and not wanted
  std::vector<std::int32_t> slot_of_;  // by run; -1: absent
  std::vector<Wanted> wanted_as_;      // by run
  std::vector<std::int32_t> free_;     // slots
  std::vector<std::int32_t> wanted_;   // since begin_routed
  std::size_t next_use_ = 0;           // in wanted_
  std::size_t next_read_ = 0;          // in wanted_: all before it are there, loading or used
  std::size_t held_end_ = 0;           // in wanted_: none from here on has a slot
  std::int64_t ahead_ = 0;             // read for this routing and not used
  std::int64_t deadline_;              // grows by one a read; before all of the ring's
  ExpertStats stats_;
};

}  // namespace windlass

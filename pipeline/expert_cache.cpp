#include "pipeline/expert_cache.h"

#include <algorithm>

#include "pipeline/placement.h"
#include "src/base/check.h"
#include "src/base/units.h"

namespace windlass {
namespace {

// TierManager's 64 runs in flight are shared with the ring's 32.
constexpr std::int64_t kMostReadAhead = 24;
constexpr std::int64_t kReadAheadBytes = 16 * kMiB;
// Experts are wanted in this layer, the ring's blocks in the next: they are read first, but for
// rows fetched singly (kUrgent).
constexpr std::int64_t kFirstDeadline = kUrgent + 1;

}  // namespace

std::int64_t expert_read_ahead(std::int64_t slots, std::int64_t slot_bytes) {
  const std::int64_t enough = (kReadAheadBytes + slot_bytes - 1) / slot_bytes;
  const std::int64_t most = std::max(kMinExpertSlots, slots / 2);
  return std::clamp(enough, kMinExpertSlots, std::min(most, kMostReadAhead));
}

double expected_hit_rate(const Placement& placement, std::int64_t n_runs, bool decode) {
  if (placement.expert_slots == 0 || n_runs == 0) return 0;
  const std::int64_t slots = placement.expert_slots + (decode ? placement.decode_expert_slots : 0);
  if (slots >= n_runs) return 1;
  const std::int64_t kept =
      slots - expert_read_ahead(placement.expert_slots, placement.expert_slot_bytes);
  return static_cast<double>(kept) / static_cast<double>(n_runs);
}

ExpertCache::ExpertCache(TierManager& tiers, std::span<const Run> runs, const ExpertMemory& memory)
    : tiers_(tiers),
      runs_(memory.slots > 0 ? runs : std::span<const Run>()),
      memory_(memory),
      read_ahead_(memory.slots > 0 ? expert_read_ahead(memory.slots, memory.slot_bytes) : 0),
      order_(std::ssize(runs_), kHalfLifeTokens),
      slot_of_(runs_.size(), -1),
      wanted_as_(runs_.size(), Wanted::kNo),
      deadline_(kFirstDeadline) {
  const std::int64_t least = std::min(kMinExpertSlots, std::ssize(runs));
  WINDLASS_CHECK(memory.slots == 0 || memory.slots >= least, memory.slots);
  for (const Run& run : runs_) {
    WINDLASS_CHECK(run.aligned.size_bytes <= memory.slot_bytes, run.aligned.size_bytes,
                   memory.slot_bytes);
  }
  free_.reserve(static_cast<std::size_t>(memory.slots + memory.more_slots));
  for (std::int64_t slot = memory.slots - 1; slot >= 0; --slot) {
    free_.push_back(static_cast<std::int32_t>(slot));
  }
  wanted_.reserve(runs_.size());
}

std::byte* ExpertCache::address_of(std::int32_t slot) const {
  if (slot < memory_.slots) return memory_.home + slot * memory_.slot_bytes;
  return memory_.more + (slot - memory_.slots) * memory_.slot_bytes;
}

void ExpertCache::hold_more(bool more) {
  if (more == holds_more_ || !in_use()) return;
  WINDLASS_CHECK(next_use_ == wanted_.size(), next_use_, wanted_.size());
  holds_more_ = more;
  if (more) {
    for (std::int64_t i = 0; i < memory_.more_slots; ++i) {
      free_.push_back(static_cast<std::int32_t>(memory_.slots + i));
    }
    return;
  }
  for (std::int32_t run = 0; run < std::ssize(runs_); ++run) {
    if (slot_of(run) < memory_.slots) continue;
    order_.keep(run);
    evict(run);
  }
  std::erase_if(free_, [&](std::int32_t slot) { return slot >= memory_.slots; });
}

void ExpertCache::begin_routed() {
  WINDLASS_CHECK(next_use_ == wanted_.size(), next_use_, wanted_.size());
  wanted_.clear();
  next_use_ = next_read_ = held_end_ = 0;
  order_.begin_routing();
}

void ExpertCache::want(std::int32_t run, std::int64_t rows) {
  WINDLASS_CHECK(wanted_as(run) == Wanted::kNo, run);
  if (order_.may_go(run)) order_.keep(run);
  order_.use(run, rows);
  wanted_as(run) = Wanted::kHeld;
  wanted_.push_back(run);
  held_end_ = wanted_.size();
}

void ExpertCache::pump() {
  for (; next_read_ < wanted_.size() && ahead_ < read_ahead_; ++next_read_) {
    const std::int32_t run = wanted_[next_read_];
    if (slot_of(run) >= 0 || next_read_ < next_use_) continue;
    if (!take_slot() || !start(run)) return;
    held_end_ = std::max(held_end_, next_read_ + 1);
  }
}

// A free slot is at the back of free_ afterwards; false where all hold what is wanted.
bool ExpertCache::take_slot() {
  if (free_.empty() && !order_.empty()) {
    const std::int32_t run = order_.first();
    order_.keep(run);
    evict(run);
  }
  return !free_.empty();
}

// Everything present is wanted later than what is due: the last of them comes again.
void ExpertCache::take_slot_of_last_wanted() {
  while (slot_of(wanted_[held_end_ - 1]) < 0) --held_end_;
  WINDLASS_CHECK(held_end_ > next_use_ + 1, held_end_, next_use_);
  const std::int32_t run = wanted_[held_end_ - 1];
  if (wanted_as(run) == Wanted::kRead) --ahead_;
  evict(run);
  next_read_ = std::min(next_read_, held_end_ - 1);
}

void ExpertCache::evict(std::int32_t run) {
  tiers_.drop(run_at(run));
  free_.push_back(slot_of(run));
  slot_of(run) = -1;
}

bool ExpertCache::start(std::int32_t run) {
  const std::int32_t slot = free_.back();
  if (!tiers_.start_load(run_at(run), address_of(slot), deadline_)) return false;
  free_.pop_back();
  ++deadline_;
  slot_of(run) = slot;
  wanted_as(run) = Wanted::kRead;
  ++ahead_;
  return true;
}

void ExpertCache::require(std::int32_t run) {
  WINDLASS_CHECK(next_use_ < wanted_.size() && wanted_[next_use_] == run, next_use_, run);
  if (slot_of(run) >= 0) return;
  if (!take_slot()) take_slot_of_last_wanted();
  const bool started = start(run);
  WINDLASS_CHECK(started, run, ahead_);
  held_end_ = std::max(held_end_, next_use_ + 1);
}

void ExpertCache::used(std::int32_t run) {
  WINDLASS_CHECK(wanted_[next_use_] == run, next_use_, run);
  ++next_use_;
  if (wanted_as(run) == Wanted::kRead) {
    --ahead_;
    ++stats_.misses;
  } else {
    ++stats_.hits;
  }
  wanted_as(run) = Wanted::kNo;
  order_.let_go(run);
}

void ExpertCache::give_up() {
  for (; next_use_ < wanted_.size(); ++next_use_) {
    const std::int32_t run = wanted_[next_use_];
    wanted_as(run) = Wanted::kNo;
    if (slot_of(run) < 0) continue;
    if (tiers_.present(run_at(run).blocks.first)) {
      order_.let_go(run);
    } else {
      evict(run);
    }
  }
  wanted_.clear();
  next_use_ = next_read_ = held_end_ = 0;
  ahead_ = 0;
}

}  // namespace windlass

#include "tiers/vram_tier.h"

#include <algorithm>
#include <cstring>

#include "src/base/check.h"

namespace windlass {
namespace {

BlockId block_at(const BlockRange& range, std::int32_t i) {
  return BlockId{index_of(range.first) + i};
}

bool contains(const BlockRange& range, BlockId id) {
  return index_of(id) >= index_of(range.first) &&
         index_of(id) < index_of(range.first) + range.count;
}

}  // namespace

VramTier::VramTier(const VramTierParts& parts)
    : parts_(parts),
      uploads_(parts.device.make_stream()),
      residency_(static_cast<std::int64_t>(parts.blocks.blocks().size())),
      idle_(parts.device.make_event()) {
  WINDLASS_CHECK(parts.staging_slot_bytes > 0, parts.staging_slot_bytes);
  const auto slot_bytes = static_cast<std::size_t>(parts.staging_slot_bytes);
  for (int i = 0; i < parts.max_runs; ++i) {
    Load load{
        {}, nullptr, 0, 0, 0, 0, false, false, parts.device.make_event(), parts.device.make_event(),
        {}};
    loads_.push_back(std::move(load));
    places_.push_back({nullptr, parts.device.make_event()});
  }
  for (std::size_t at = 0; at + slot_bytes <= parts.staging.size(); at += slot_bytes) {
    slots_.push_back({Slot::State::kFree, parts.staging.data() + at, BlockId{0}, nullptr,
                      kNoTransfer, parts.device.make_event()});
  }
  WINDLASS_CHECK(!slots_.empty() && slots_.size() <= TierManager::kOtherReads, slots_.size(),
                 slot_bytes);
}

VramTier::~VramTier() {
  for (Load& load : loads_) {
    if (load.in_use) cancel(load);
  }
}

VramTier::Load* VramTier::load_of(BlockId id) {
  const auto load = std::find_if(loads_.begin(), loads_.end(), [&](const Load& each) {
    return each.in_use && !each.dropped && contains(each.run.blocks, id);
  });
  return load == loads_.end() ? nullptr : &*load;
}

VramTier::Place* VramTier::find_place(const std::byte* destination) {
  const auto place = std::find_if(places_.begin(), places_.end(), [&](const Place& each) {
    return each.destination == destination;
  });
  return place == places_.end() ? nullptr : &*place;
}

// From now on, once the kernels of this moment have ended.
void VramTier::free_place(std::byte* destination) {
  Place* place = find_place(destination);
  if (place == nullptr) place = find_place(nullptr);
  if (place == nullptr) {  // more of them than slots of a ring
    parts_.device.record(parts_.compute, idle_);
    return parts_.device.wait_for(idle_);
  }
  place->destination = destination;
  parts_.device.record(parts_.compute, place->free);
}

// Waits for the device where so many runs have been put on its stream that none is free; null where
// none will be before something else happens.
VramTier::Load* VramTier::free_load() {
  for (;;) {
    retire();
    for (Load& load : loads_) {
      if (!load.in_use) return &load;
    }
    const Load* oldest = oldest_sent();
    if (oldest == nullptr) return nullptr;
    parts_.device.wait_for(oldest->arrived);
  }
}

// Loads arrive in the order in which their last copies were put on the stream.
VramTier::Load* VramTier::oldest_sent() {
  Load* oldest = nullptr;
  for (Load& load : loads_) {
    if (!load.in_use || !load.sent()) continue;
    if (oldest == nullptr || load.sent_as < oldest->sent_as) oldest = &load;
  }
  return oldest;
}

bool VramTier::start_load(const Run& run, std::byte* destination, std::int64_t deadline) {
  Load* load = free_load();
  if (load == nullptr) return false;
  for (std::int32_t i = 0; i < run.blocks.count; ++i) {
    const BlockId id = block_at(run.blocks, i);
    const std::int64_t offset = parts_.blocks.at(id).extent.offset_bytes - run.aligned.offset_bytes;
    residency_.begin_load(id, destination + offset);
  }
  load->run = run;
  load->destination = destination;
  load->deadline = deadline;
  load->next = load->n_sent = 0;
  load->in_use = true;
  load->dropped = false;
  try {
    pump();
  } catch (...) {
    if (load->in_use) drop(run);
    throw;
  }
  return true;
}

void VramTier::drop(const Run& run) {
  if (Load* load = load_of(run.blocks.first)) {
    WINDLASS_CHECK(load->run.blocks.count == run.blocks.count, run.blocks.count);
    if (!load->sent()) cancel(*load);
    load->dropped = true;
  }
  const BlockId first = run.blocks.first;
  const std::int64_t offset =
      parts_.blocks.at(first).extent.offset_bytes - run.aligned.offset_bytes;
  std::byte* destination = const_cast<std::byte*>(residency_.address(first)) - offset;
  free_place(destination);
  for (std::int32_t i = 0; i < run.blocks.count; ++i) residency_.drop(block_at(run.blocks, i));
}

// Takes back what has been asked for and waits for what is on the stream.
void VramTier::cancel(Load& load) {
  for (Slot& slot : slots_) {
    if (slot.state == Slot::State::kFree || slot.load != &load) continue;
    if (slot.state == Slot::State::kCopying) parts_.device.wait_for(slot.copied);
    end_read(slot);
    slot.state = Slot::State::kFree;
  }
  while (n_slots_used_ > 0 && slots_[oldest_].state == Slot::State::kFree) {
    oldest_ = (oldest_ + 1) % slots_.size();
    --n_slots_used_;
  }
  parts_.device.record(uploads_, load.arrived);
  parts_.device.wait_for(load.arrived);
  load.sources.clear();
  load.in_use = false;
}

void VramTier::pump() {
  parts_.host.poll();
  reclaim();
  forward();
  while (Load* load = next_to_ask()) {
    if (!ask(*load)) break;
  }
  retire();
}

bool VramTier::reads_in_flight() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const Slot& slot) { return slot.state == Slot::State::kReading; });
}

// By deadline; null when all has been asked for.
VramTier::Load* VramTier::next_to_ask() {
  Load* first = nullptr;
  for (Load& load : loads_) {
    if (!load.in_use || load.next == load.run.blocks.count) continue;
    if (first == nullptr || load.deadline < first->deadline) first = &load;
  }
  return first;
}

bool VramTier::is_pinned(const std::byte* bytes, std::int64_t size_bytes) const {
  const std::byte* begin = parts_.pinned_host.data();
  return !parts_.pinned_host.empty() && bytes >= begin &&
         bytes + size_bytes <= begin + parts_.pinned_host.size();
}

// The next block of a load: copied from where it lies, or put into a staging slot. False where no
// slot, or no read, can be had now.
bool VramTier::ask(Load& load) {
  const BlockId id = block_at(load.run.blocks, load.next);
  const bool in_host = parts_.host.present(id);
  if (in_host && copy_from_host(load, id)) {
    ++load.next;
    return true;
  }
  Slot* slot = free_slot();
  DiskLink& link = parts_.host.link();
  if (slot == nullptr || (!in_host && link.full())) return false;
  if (in_host) {
    const auto size_bytes = static_cast<std::size_t>(parts_.blocks.at(id).extent.size_bytes);
    std::memcpy(slot->memory, parts_.host.lease(id).bytes(), size_bytes);
  } else {
    slot->read = link.start(block_run(id).aligned, slot->memory, load.deadline);
  }
  slot->state = Slot::State::kReading;
  slot->block = id;
  slot->load = &load;
  ++n_slots_used_;
  ++load.next;
  link.poll();
  forward();
  return true;
}

// False where it lies in memory that the device does not copy from.
bool VramTier::copy_from_host(Load& load, BlockId id) {
  Lease lease = parts_.host.lease(id);
  if (!is_pinned(lease.bytes(), parts_.blocks.at(id).extent.size_bytes)) return false;
  send(load, id, lease.bytes());
  load.sources.push_back(std::move(lease));
  return true;
}

void VramTier::end_read(Slot& slot) {
  if (slot.read != kNoTransfer) parts_.host.link().release(slot.read);
  slot.read = kNoTransfer;
}

VramTier::Slot* VramTier::free_slot() {
  if (n_slots_used_ == slots_.size()) return nullptr;
  return &slots_[(oldest_ + n_slots_used_) % slots_.size()];
}

void VramTier::send(Load& load, BlockId id, const std::byte* from) {
  if (load.n_sent == 0) {
    if (const Place* place = find_place(load.destination)) {
      parts_.device.hold(uploads_, place->free);
    }
    parts_.device.record(uploads_, load.begun);
  }
  const std::int64_t size_bytes = parts_.blocks.at(id).extent.size_bytes;
  std::byte* to = const_cast<std::byte*>(residency_.address(id));
  parts_.device.copy_to_device(uploads_, to, {from, static_cast<std::size_t>(size_bytes)});
  sent_bytes_ += size_bytes;
  residency_.finish_load(id);
  if (++load.n_sent < load.run.blocks.count) return;
  parts_.device.record(uploads_, load.arrived);
  load.sent_as = n_loads_sent_++;
}

// Slots whose copies are done, in turn.
void VramTier::reclaim() {
  while (n_slots_used_ > 0) {
    Slot& slot = slots_[oldest_];
    if (slot.state == Slot::State::kReading) return;
    if (slot.state == Slot::State::kCopying && !parts_.device.done(slot.copied)) return;
    slot.state = Slot::State::kFree;
    oldest_ = (oldest_ + 1) % slots_.size();
    --n_slots_used_;
  }
}

// Copies what has been read, in turn.
void VramTier::forward() {
  for (std::size_t i = 0; i < n_slots_used_; ++i) {
    Slot& slot = slots_[(oldest_ + i) % slots_.size()];
    if (slot.state != Slot::State::kReading) continue;
    if (slot.read != kNoTransfer && !parts_.host.link().done(slot.read)) return;
    send_slot(slot);
  }
}

// A block read from disk lies as far into the slot as it lies into its first page.
void VramTier::send_slot(Slot& slot) {
  const Run run = block_run(slot.block);
  const std::int64_t offset =
      slot.read != kNoTransfer
          ? parts_.blocks.at(slot.block).extent.offset_bytes - run.aligned.offset_bytes
          : 0;
  end_read(slot);
  send(*slot.load, slot.block, slot.memory + offset);
  parts_.device.record(uploads_, slot.copied);
  slot.state = Slot::State::kCopying;
}

// Loads whose copies are all done need no care any more. One question to the device, most often.
void VramTier::retire() {
  for (Load* load = oldest_sent(); load != nullptr && parts_.device.done(load->arrived);
       load = oldest_sent()) {
    busy_s_ += parts_.device.seconds_between(load->begun, load->arrived);
    load->sources.clear();
    load->in_use = false;
  }
}

// REQUIRES that something is on its way.
void VramTier::wait_some() {
  for (std::size_t i = 0; i < n_slots_used_; ++i) {
    const Slot& slot = slots_[(oldest_ + i) % slots_.size()];
    if (slot.state == Slot::State::kReading) return parts_.host.link().wait(slot.read);
  }
  if (n_slots_used_ > 0) return parts_.device.wait_for(slots_[oldest_].copied);
  const Load* load = oldest_sent();
  WINDLASS_CHECK(load != nullptr, loads_.size());
  parts_.device.wait_for(load->arrived);
}

const std::byte* VramTier::ready(const BlockRange& range) {
  const BlockId last = block_at(range, range.count - 1);
  Load* load = load_of(last);
  while (load != nullptr && load->in_use && !load->sent()) {
    pump();
    if (!load->sent()) wait_some();
  }
  WINDLASS_CHECK(residency_.state(last) == BlockState::kPresent, index_of(last));
  if (load != nullptr && load->in_use) parts_.device.hold(parts_.compute, load->arrived);
  return residency_.address(range.first);
}

void VramTier::load_all(std::span<const TierManager::Placed> runs,
                        const std::function<void(std::int64_t)>& progress) {
  std::int64_t done_bytes = 0;
  try {
    for (const TierManager::Placed& placed : runs) {
      while (!start_load(placed.run, placed.destination, 0)) {
        pump();
        wait_some();
      }
      for (Load* load = load_of(placed.run.blocks.first);
           load != nullptr && load->in_use && !load->sent();) {
        pump();
        if (!load->sent()) wait_some();
      }
      done_bytes += placed.run.aligned.size_bytes;
      progress(done_bytes);
    }
    for (Load& load : loads_) {
      if (load.in_use) parts_.device.wait_for(load.arrived);
    }
    reclaim();
    retire();
  } catch (...) {
    for (const TierManager::Placed& placed : runs) {
      if (state(placed.run.blocks.first) != BlockState::kAbsent) drop(placed.run);
    }
    throw;
  }
}

}  // namespace windlass

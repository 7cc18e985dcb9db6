#include "tiers/tier_manager.h"

#include <algorithm>
#include <array>

#include "src/base/check.h"
#include "src/base/clock.h"
#include "src/base/units.h"

namespace windlass {
namespace {

std::int32_t end_of(const BlockRange& range) { return index_of(range.first) + range.count; }

bool contains(const BlockRange& range, BlockId id) {
  return index_of(id) >= index_of(range.first) && index_of(id) < end_of(range);
}

template <typename Function>
void for_each_block(const BlockRange& range, Function function) {
  for (std::int32_t i = index_of(range.first); i < end_of(range); ++i) function(BlockId{i});
}

}  // namespace

TierManager::TierManager(const TensorTable& tensors, const BlockTable& blocks,
                         const DiskStore& store, IoEngine& engine,
                         const TierManagerOptions& options)
    : tensors_(tensors),
      blocks_(blocks),
      link_(store, engine, options.max_runs + kRowReads + kOtherReads, options.request_bytes),
      residency_(static_cast<std::int64_t>(blocks.blocks().size())),
      observer_(options.observer),
      runs_(static_cast<std::size_t>(options.max_runs)) {
  row_requests_.reserve(kRowBatch);
}

bool TierManager::start_load(const Run& run, std::byte* destination, std::int64_t deadline) {
  const auto slot = std::find_if(runs_.begin(), runs_.end(), [](const RunSlot& candidate) {
    return candidate.transfer == kNoTransfer;
  });
  if (slot == runs_.end()) return false;
  for_each_block(run.blocks, [&](BlockId id) {
    const std::int64_t offset = blocks_.at(id).extent.offset_bytes - run.aligned.offset_bytes;
    residency_.begin_load(id, destination + offset);
  });
  *slot = {run, link_.start(run.aligned, destination, deadline), now_s()};
  ++n_loading_;
  try {
    link_.poll();
  } catch (...) {
    drop(run);
    throw;
  }
  return true;
}

void TierManager::poll() {
  link_.poll();
  finish_arrived();
}

void TierManager::finish_arrived() {
  if (n_loading_ == 0) return;
  for (RunSlot& slot : runs_) {
    if (slot.transfer != kNoTransfer && link_.done(slot.transfer)) finish(slot);
  }
}

void TierManager::end_transfer(RunSlot& slot) {
  link_.release(slot.transfer);
  slot.transfer = kNoTransfer;
  --n_loading_;
}

void TierManager::finish(RunSlot& slot) {
  end_transfer(slot);
  for_each_block(slot.run.blocks, [&](BlockId id) { residency_.finish_load(id); });
  if (observer_) observer_(static_cast<int>(&slot - runs_.data()), slot.begin_s, now_s());
}

TierManager::RunSlot* TierManager::slot_of(BlockId id) {
  for (RunSlot& slot : runs_) {
    if (slot.transfer != kNoTransfer && contains(slot.run.blocks, id)) return &slot;
  }
  return nullptr;
}

void TierManager::wait_present(BlockId id) {
  if (present(id)) return;
  RunSlot* slot = slot_of(id);
  WINDLASS_CHECK(slot != nullptr, index_of(id));
  link_.wait(slot->transfer);
  finish(*slot);
}

void TierManager::drop(const Run& run) {
  if (RunSlot* slot = slot_of(run.blocks.first); slot != nullptr) {
    WINDLASS_CHECK(slot->run.blocks.first == run.blocks.first, index_of(run.blocks.first));
    WINDLASS_CHECK(slot->run.blocks.count == run.blocks.count, run.blocks.count);
    end_transfer(*slot);
  }
  for_each_block(run.blocks, [&](BlockId id) { residency_.drop(id); });
}

void TierManager::load_all(std::span<const Placed> runs,
                           const std::function<void(std::int64_t)>& progress) {
  try {
    load_in_order(runs, progress);
  } catch (...) {
    for (const Placed& placed : runs) {
      if (state(placed.run.blocks.first) != BlockState::kAbsent) drop(placed.run);
    }
    throw;
  }
}

void TierManager::load_in_order(std::span<const Placed> runs,
                                const std::function<void(std::int64_t)>& progress) {
  std::size_t started = 0;
  std::int64_t done_bytes = 0;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    while (started < runs.size() && start_load(runs[started].run, runs[started].destination,
                                               static_cast<std::int64_t>(started))) {
      ++started;
    }
    if (started == i) {  // all slots hold runs that others started
      wait_present(runs_.front().run.blocks.first);
      --i;
      continue;
    }
    wait_present(runs[i].run.blocks.first);
    finish_arrived();
    done_bytes += runs[i].run.aligned.size_bytes;
    progress(done_bytes);
  }
}

std::int64_t TierManager::size_bytes() const {
  return residency_.size_bytes() + link_.size_bytes() +
         static_cast<std::int64_t>(runs_.capacity() * sizeof(RunSlot) +
                                   row_requests_.capacity() * sizeof(RowRequest));
}

}  // namespace windlass

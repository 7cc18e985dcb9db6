#include "pipeline/ring.h"

#include "src/base/check.h"

namespace windlass {

Ring::Ring(RunLoader& loader, std::byte* memory, std::int64_t slots, std::int64_t slot_bytes,
           Loads loads)
    : loader_(loader), memory_(memory), slots_(slots), slot_bytes_(slot_bytes), loads_(loads) {}

// A step of fewer loads than slots reaches its own blocks again in `next`, while it still holds
// them.
bool Ring::is_held(const Run& run) const {
  for (std::int32_t i = 0; i < run.blocks.count; ++i) {
    if (loader_.state(BlockId{index_of(run.blocks.first) + i}) != BlockState::kAbsent) return true;
  }
  return false;
}

std::size_t Ring::n_loads() const {
  return (plan_->*loads_).size() + (next_ != nullptr ? (next_->*loads_).size() : 0);
}

const LoadEntry& Ring::load(std::size_t index) const {
  const std::size_t own = (plan_->*loads_).size();
  return index < own ? (plan_->*loads_)[index] : (next_->*loads_)[index - own];
}

// The entry of the step that waits for it: rings that share a disk read in the order of need.
std::int64_t Ring::deadline(std::size_t index) const {
  const std::int64_t ahead = index < (plan_->*loads_).size() ? 0 : 1;
  return ((step_ + ahead) << 32) + load(index).first_use;
}

void Ring::begin_step(const Plan* plan, const Plan* next) {
  keep_only(plan);
  if (plan_ != nullptr) {
    const auto own = static_cast<std::int64_t>((plan_->*loads_).size());
    WINDLASS_CHECK(static_cast<std::int64_t>(released_) == own, released_, own);
    issued_ -= own;
  }
  released_ = 0;
  ++step_;
  plan_ = plan;
  next_ = next;
}

void Ring::pump(std::int32_t entry, bool ahead) {
  while (issued_ < static_cast<std::int64_t>(n_loads()) && loads_ahead() < slots_) {
    const auto index = static_cast<std::size_t>(issued_);
    const LoadEntry& next = load(index);
    if (!ahead && (index >= (plan_->*loads_).size() || next.first_use > entry)) return;
    WINDLASS_CHECK(next.run.aligned.size_bytes <= slot_bytes_, next.run.aligned.size_bytes,
                   slot_bytes_);
    if (is_held(next.run)) return;
    std::byte* slot = memory_ + (n_started_ % slots_) * slot_bytes_;
    if (!loader_.start_load(next.run, slot, deadline(index))) return;
    ++n_started_;
    ++issued_;
  }
}

void Ring::drop_front() {
  loader_.drop(load(released_).run);
  ++released_;
}

void Ring::release(std::int32_t entry) {
  while (released_ < (plan_->*loads_).size() && static_cast<std::int64_t>(released_) < issued_ &&
         load(released_).last_use <= entry) {
    drop_front();
  }
}

void Ring::keep_only(const Plan* plan) {
  if (next_ != plan) clear();
}

void Ring::clear() {
  if (plan_ == nullptr) return;
  while (static_cast<std::int64_t>(released_) < issued_) drop_front();
  plan_ = next_ = nullptr;
  issued_ = 0;
  released_ = 0;
}

}  // namespace windlass

#include "tiers/budget.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "src/base/check.h"
#include "src/base/error.h"
#include "src/base/units.h"

namespace windlass {

const char* tier_name(Tier tier) {
  switch (tier) {
    case Tier::kVram:
      return "vram";
    case Tier::kHost:
      return "host";
    case Tier::kDisk:
      return "disk";
  }
  return "unknown";
}

const char* tag_name(Tag tag) {
  switch (tag) {
    case Tag::kWeights:
      return "weights";
    case Tag::kRing:
      return "ring";
    case Tag::kKv:
      return "kv";
    case Tag::kActivations:
      return "activations";
    case Tag::kStaging:
      return "staging";
    case Tag::kTables:
      return "tables";
  }
  return "unknown";
}

Reservation::Reservation(Reservation&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)),
      tag_(other.tag_),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  Reservation old(std::move(*this));  // given back when this function returns
  budget_ = std::exchange(other.budget_, nullptr);
  tag_ = other.tag_;
  size_bytes_ = std::exchange(other.size_bytes_, 0);
  return *this;
}

Reservation::~Reservation() {
  if (budget_ != nullptr) budget_->used_[static_cast<std::size_t>(tag_)] -= size_bytes_;
}

std::int64_t Budget::used_bytes() const {
  return std::accumulate(used_.begin(), used_.end(), std::int64_t{0});
}

Reservation Budget::reserve(Tag tag, std::int64_t size_bytes) {
  WINDLASS_CHECK(size_bytes >= 0, size_bytes);
  const std::int64_t used = used_bytes();
  if (size_bytes > limit_bytes_ - used) {
    fail(ErrorCode::kNoSpace,
         "the {} budget is too small: {} asked for {}, {} of {} are in use; raise the budget by {}",
         tier_name(tier_), format_size(size_bytes), tag_name(tag), format_size(used),
         format_size(limit_bytes_), format_size(size_bytes - (limit_bytes_ - used)));
  }
  used_[static_cast<std::size_t>(tag)] += size_bytes;
  peak_bytes_ = std::max(peak_bytes_, used + size_bytes);
  return Reservation(this, tag, size_bytes);
}

}  // namespace windlass

#include "tiers/residency.h"

#include "src/base/check.h"

namespace windlass {

Lease& Lease::operator=(Lease&& other) noexcept {
  Lease old(std::move(*this));  // given back when this function returns
  residency_ = std::exchange(other.residency_, nullptr);
  block_ = other.block_;
  return *this;
}

Lease::~Lease() {
  if (residency_ != nullptr) --residency_->entry(block_).leases;
}

const std::byte* Lease::bytes() const {
  WINDLASS_CHECK(residency_ != nullptr);
  return residency_->entry(block_).address;
}

Residency::Residency(std::int64_t n_blocks) : entries_(static_cast<std::size_t>(n_blocks)) {}

Residency::Entry& Residency::entry(BlockId id) {
  WINDLASS_CHECK(static_cast<std::size_t>(index_of(id)) < entries_.size(), index_of(id),
                 entries_.size());
  return entries_[static_cast<std::size_t>(index_of(id))];
}

const Residency::Entry& Residency::entry(BlockId id) const {
  return const_cast<Residency*>(this)->entry(id);
}

BlockState Residency::state(BlockId id) const { return entry(id).state; }

const std::byte* Residency::address(BlockId id) const {
  const Entry& block = entry(id);
  WINDLASS_CHECK(block.state != BlockState::kAbsent, index_of(id));
  return block.address;
}

void Residency::begin_load(BlockId id, std::byte* address) {
  Entry& block = entry(id);
  WINDLASS_CHECK(block.state == BlockState::kAbsent, index_of(id), static_cast<int>(block.state));
  WINDLASS_CHECK(address != nullptr, index_of(id));
  block.address = address;
  block.state = BlockState::kLoading;
}

void Residency::finish_load(BlockId id) {
  Entry& block = entry(id);
  WINDLASS_CHECK(block.state == BlockState::kLoading, index_of(id), static_cast<int>(block.state));
  block.state = BlockState::kPresent;
}

void Residency::drop(BlockId id) {
  Entry& block = entry(id);
  WINDLASS_CHECK(block.state != BlockState::kAbsent, index_of(id));
  WINDLASS_CHECK(block.leases == 0, index_of(id), block.leases);
  block = Entry{};
}

Lease Residency::lease(BlockId id) {
  Entry& block = entry(id);
  WINDLASS_CHECK(block.state == BlockState::kPresent, index_of(id), static_cast<int>(block.state));
  ++block.leases;
  return Lease(this, id);
}

std::int32_t Residency::leases(BlockId id) const { return entry(id).leases; }

std::int64_t Residency::size_bytes() const {
  return static_cast<std::int64_t>(entries_.capacity() * sizeof(Entry));
}

}  // namespace windlass

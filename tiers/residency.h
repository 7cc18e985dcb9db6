// Which blocks are in the host tier now, where, and in which state; and leases, which pin a block
// while it is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "src/base/ids.h"

namespace windlass {

enum class BlockState : std::uint8_t { kAbsent, kLoading, kPresent };

class Residency;

// While it lives, the block's bytes stay at bytes(). Move-only.
class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept
      : residency_(std::exchange(other.residency_, nullptr)), block_(other.block_) {}
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();
  const std::byte* bytes() const;
  explicit operator bool() const { return residency_ != nullptr; }

 private:
  friend class Residency;
  Lease(Residency* residency, BlockId block) : residency_(residency), block_(block) {}
  Residency* residency_ = nullptr;
  BlockId block_{0};
};

// Owner-thread. 16 B a block.
class Residency {
 public:
  explicit Residency(std::int64_t n_blocks);
  BlockState state(BlockId id) const;
  // absent -> loading: the bytes will be at `address`.
  void begin_load(BlockId id, std::byte* address);
  void finish_load(BlockId id);  // loading -> present
  // present or loading -> absent. REQUIRES no lease: a leased block is never evicted.
  void drop(BlockId id);
  // REQUIRES present.
  Lease lease(BlockId id);
  std::int32_t leases(BlockId id) const;
  // Where its bytes are, or will be. REQUIRES not absent.
  const std::byte* address(BlockId id) const;
  std::int64_t size_bytes() const;

 private:
  friend class Lease;
  struct Entry {
    std::byte* address = nullptr;
    std::int32_t leases = 0;
    BlockState state = BlockState::kAbsent;
  };
  Entry& entry(BlockId id);
  const Entry& entry(BlockId id) const;
  std::vector<Entry> entries_;
};

}  // namespace windlass

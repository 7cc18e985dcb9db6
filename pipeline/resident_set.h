// Weights that stay in host memory over many steps: all of a set, or nothing of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "pipeline/schedule.h"
#include "tiers/tier_manager.h"

namespace windlass {

// Owner-thread.
class ResidentSet {
 public:
  // `runs` lie at their offsets from `home`; both outlive reads into them, as do the tiers.
  ResidentSet(TierManager& tiers, const BlockTable& blocks, const std::vector<PlacedRun>& runs,
              std::byte* home);

  bool empty() const { return pieces_.empty(); }
  bool held() const { return held_; }
  // Reads the set unless it is held. progress(bytes done), at least every kPieceBytes, may throw;
  // then, and when a read fails, nothing is held. REQUIRES that nobody else has these blocks.
  void hold(const std::function<void(std::int64_t)>& progress);
  // Forgets the set: its memory is free for others. REQUIRES no lease on it.
  void let_go();

  static constexpr std::int64_t kPieceBytes = std::int64_t{16} << 20;  // 17 ms at 0.9 GB/s

 private:
  TierManager& tiers_;
  std::vector<TierManager::Placed> pieces_;
  bool held_ = false;
};

}  // namespace windlass

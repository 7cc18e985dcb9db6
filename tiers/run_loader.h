// What a streaming ring fills its slots by: a tier that runs of blocks are loaded into.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tiers/block.h"
#include "tiers/residency.h"

namespace windlass {

// Owner-thread.
class RunLoader {
 public:
  virtual ~RunLoader() = default;

  // Starts loading `run` into `destination` (run.aligned.size_bytes, of the tier's memory). Lower
  // deadline first. False when too much is in flight: try again later. Blocks become `loading`;
  // they stay absent when it throws. REQUIRES all blocks absent.
  virtual bool start_load(const Run& run, std::byte* destination, std::int64_t deadline) = 0;
  virtual BlockState state(BlockId id) const = 0;
  // Makes all blocks of a loaded run absent; one still loading is cancelled. REQUIRES no lease on
  // them; a loading run is dropped as it was started.
  virtual void drop(const Run& run) = 0;
};

}  // namespace windlass

// Moves runs of blocks from disk to host: queued by deadline, many in flight, large ones split,
// short reads continued.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>

#include "tiers/block.h"
#include "tiers/disk_store.h"
#include "tiers/io_engine.h"

namespace windlass {

// What a link has done so far. busy_s: time with at least one read submitted and not reaped.
struct LinkStats {
  std::int64_t bytes = 0;
  std::int64_t requests = 0;
  double busy_s = 0;
};

enum class TransferId : std::int32_t {};
inline constexpr TransferId kNoTransfer{-1};

// The deadline of reads that someone waits for now. A few of the engine's places are kept for them,
// so that they never queue behind streaming reads.
inline constexpr std::int64_t kUrgent = std::numeric_limits<std::int64_t>::min();

// Owner-thread. In-flight state is a fixed array: a full one is back-pressure, never an allocation.
// Store, engine and destinations outlive the link. The engine serves one link at a time.
class DiskLink {
 public:
  // max_transfers: started and not yet released (each is one run); request_bytes: largest single
  // read (split size, a multiple of kDirectAlignment).
  DiskLink(const DiskStore& store, IoEngine& engine, int max_transfers, std::int64_t request_bytes);
  ~DiskLink();  // forgets what is queued, waits for everything in flight
  DiskLink(const DiskLink&) = delete;
  DiskLink& operator=(const DiskLink&) = delete;

  bool full() const;
  // Queues extent -> destination; poll() or wait() submits. Lower deadlines are read first, equal
  // ones in the order of start. REQUIRES !full(), extent aligned to kDirectAlignment (its end may
  // pass the end of the file: only the file's bytes are read), destination aligned likewise.
  TransferId start(const Extent& extent, std::byte* destination, std::int64_t deadline);
  // Drains completions without waiting, submits what fits.
  void poll();
  // Done? Never waits. Error(kIo) if its read failed: file, offset, errno text; a file that got
  // shorter says so. A failed transfer can still have reads in flight: release() waits for them.
  bool done(TransferId id);
  // Waits until it is done; other transfers go on meanwhile. Throws as done() does.
  void wait(TransferId id);
  // Ends a transfer's life, done, failed or not: drops its unsubmitted reads, waits for those in
  // flight.
  void release(TransferId id);
  LinkStats stats() const;
  std::int64_t size_bytes() const;  // heap bytes of this link

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace windlass

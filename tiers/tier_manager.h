// The host and disk tiers of one model as the pipeline uses them: start moving runs, wait for
// blocks, lease them, read single rows. It owns no policy: what is where and when it moves comes
// from the Plan.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tiers/arena.h"
#include "tiers/block.h"
#include "tiers/disk_store.h"
#include "tiers/io_engine.h"
#include "tiers/residency.h"
#include "tiers/run_loader.h"
#include "tiers/transfer.h"

namespace windlass {

// Told when a run has arrived: which of the max_runs places it held, and when it was asked for and
// when it was there (now_s).
using RunObserver = std::function<void(int place, double begin_s, double end_s)>;

struct TierManagerOptions {
  int max_runs = 64;  // runs loading at once
  std::int64_t request_bytes = kRequestBytes;
  static constexpr std::int64_t kRequestBytes = std::int64_t{1} << 20;
  RunObserver observer = nullptr;
};

// Owner-thread. No allocation after construction. Tables, store, engine and every destination
// outlive it; leases do not.
class TierManager final : public RunLoader {
 public:
  TierManager(const TensorTable& tensors, const BlockTable& blocks, const DiskStore& store,
              IoEngine& engine, const TierManagerOptions& options);

  // Into host memory that is kDirectAlignment aligned. kUrgent is for fetch_rows. Where it says
  // false, poll() and try again.
  bool start_load(const Run& run, std::byte* destination, std::int64_t deadline) override;
  // Drains completions without waiting; blocks whose bytes arrived become `present`. Throws
  // Error(kIo) if a read failed.
  void poll();
  bool present(BlockId id) const { return residency_.state(id) == BlockState::kPresent; }
  BlockState state(BlockId id) const override { return residency_.state(id); }
  // Waits, asleep, for a block that is loading; other runs go on meanwhile. REQUIRES not absent.
  // Throws as poll() does.
  void wait_present(BlockId id);
  Lease lease(BlockId id) { return residency_.lease(id); }
  // Waits for the reads in flight of a run still loading.
  void drop(const Run& run) override;

  // Loads many runs at their places and waits, several at a time; progress(bytes done) is called
  // now and then and may throw. All or nothing: when a read fails or progress throws, all of them
  // are absent again and none of their reads is in flight. REQUIRES all blocks absent.
  struct Placed {
    Run run;
    std::byte* destination;
  };
  void load_all(std::span<const Placed> runs, const std::function<void(std::int64_t)>& progress);

  // Fetches single rows of `tensor` (an embedding): pointers to each row's bytes, valid until the
  // next call. Resident blocks are used in place (such pointers end with their block), the rest
  // read directly into `staging` (kDirectAlignment aligned), before every other read. rows.size() *
  // row_staging_bytes(tensor) <= staging.size(). REQUIRES rows in range. Duplicate and overlapping
  // rows are read once among each kRowBatch rows.
  void fetch_rows(TensorId tensor, std::span<const std::int32_t> rows, std::span<std::byte> staging,
                  std::span<const std::byte*> row_bytes);
  static constexpr int kRowBatch = 2048;
  // Staging bytes one row can need: its bytes rounded out to 4 KiB at both ends.
  std::int64_t row_staging_bytes(TensorId tensor) const;

  LinkStats disk_to_host() const { return link_.stats(); }
  // For reads into memory that is not of the host tier: on their way to VRAM. No more than
  // kOtherReads transfers at once.
  DiskLink& link() { return link_; }
  static constexpr int kOtherReads = 16;
  std::int64_t size_bytes() const;  // heap bytes of the tables

 private:
  struct RunSlot {
    Run run;
    TransferId transfer = kNoTransfer;  // kNoTransfer: slot free
    double begin_s = 0;
  };
  // A row to fetch and where in the caller's list it stands.
  struct RowRequest {
    std::int32_t row, index;
  };
  // Row reads in flight at once: what keeps an NVMe drive busy with reads of 4 to 8 KiB.
  static constexpr int kRowReads = 64;
  class RowReader;

  RunSlot* slot_of(BlockId id);
  BlockId block_of_row(TensorId tensor, std::int64_t row) const;
  void load_in_order(std::span<const Placed> runs,
                     const std::function<void(std::int64_t)>& progress);
  void end_transfer(RunSlot& slot);
  void finish(RunSlot& slot);
  void finish_arrived();
  void fetch_batch(TensorId tensor, std::span<const std::int32_t> rows, RowReader& reader,
                   std::span<const std::byte*> row_bytes);

  const TensorTable& tensors_;
  const BlockTable& blocks_;
  DiskLink link_;
  Residency residency_;
  RunObserver observer_;
  std::vector<RunSlot> runs_;             // fixed size: loading runs
  int n_loading_ = 0;                     // of them
  std::vector<RowRequest> row_requests_;  // fixed capacity: kRowBatch
};

}  // namespace windlass

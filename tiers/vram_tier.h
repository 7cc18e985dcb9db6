// VRAM as the pipeline uses it: runs are copied into it ahead of use, from pinned host memory or,
// block by block, from disk through a few staging slots of the host, so that a run need not be
// whole in host memory before its copy starts. It owns no policy: what is where and when it moves
// comes from the Plan.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "src/device/device.h"
#include "tiers/run_loader.h"
#include "tiers/tier_manager.h"

namespace windlass {

struct VramTierParts {
  const BlockTable& blocks;
  TierManager& host;  // its link reads what is not in host memory
  Device& device;
  Stream compute;                               // where what is loaded is used
  std::span<std::byte> staging;                 // pinned; whole slots
  std::int64_t staging_slot_bytes = 0;          // at least the largest block's run
  std::span<const std::byte> pinned_host = {};  // blocks that lie there are copied from there
  int max_runs = 64;                            // loading at once, and ring slots
};

// A block is `present` when its copy has been put on a stream: kernels wait for it there, by
// ready(). Owner-thread; allocates only in the constructor. All parts outlive it.
class VramTier final : public RunLoader {
 public:
  explicit VramTier(const VramTierParts& parts);
  // Waits for what is in flight.
  ~VramTier() override;

  // Into memory of the device. A destination may be used again once its run was dropped: the copy
  // waits on the device until the kernels put on `compute` before that have ended.
  bool start_load(const Run& run, std::byte* destination, std::int64_t deadline) override;
  BlockState state(BlockId id) const override { return residency_.state(id); }
  // Waits for reads and copies of a run still loading.
  void drop(const Run& run) override;

  // Takes up what has arrived, without waiting: copies what was read, reads what is next. Throws
  // Error(kIo) if a read failed.
  void pump();
  // Whether something is being read for it: pump() will have more to do when it is there.
  bool reads_in_flight() const;
  // The device's address of the first block, for what is put on `compute` from now on: that waits
  // there until the blocks are here. The caller waits until their copies are on a stream. REQUIRES
  // that none is absent, and that they lie side by side.
  const std::byte* ready(const BlockRange& range);

  // Loads runs at their places and waits until they are here; progress(bytes done) may throw. All
  // or nothing, as TierManager::load_all.
  void load_all(std::span<const TierManager::Placed> runs,
                const std::function<void(std::int64_t)>& progress);

  // Bytes put on the way to the device so far; busy_s: of the runs known to be there, from the turn
  // of a run's first copy to the end of its last.
  std::int64_t sent_bytes() const { return sent_bytes_; }
  double busy_s() const { return busy_s_; }

 private:
  // A run on its way, until all of its copies are known to be done.
  struct Load {
    Run run;
    std::byte* destination = nullptr;
    std::int64_t deadline = 0;
    std::int32_t next = 0;     // blocks before it have been asked for
    std::int32_t n_sent = 0;   // blocks whose copies are on the stream
    std::int64_t sent_as = 0;  // how many were sent wholly before it
    bool in_use = false;
    bool dropped = false;        // sent, and not wanted any more
    Event begun;                 // recorded before the first
    Event arrived;               // and when all are
    std::vector<Lease> sources;  // of blocks copied from where they lie
    bool sent() const { return n_sent == run.blocks.count; }
  };
  // A block on its way through host memory.
  struct Slot {
    enum class State : std::uint8_t { kFree, kReading, kCopying } state = State::kFree;
    std::byte* memory = nullptr;
    BlockId block{0};
    Load* load = nullptr;
    TransferId read = kNoTransfer;  // kNoTransfer: copied by the CPU
    Event copied;
  };
  // A destination, and the point from which it may be written again.
  struct Place {
    std::byte* destination = nullptr;
    Event free;
  };

  Load* load_of(BlockId id);
  Load* free_load();
  Load* oldest_sent();
  Load* next_to_ask();
  Place* find_place(const std::byte* destination);
  void free_place(std::byte* destination);
  Slot* free_slot();
  bool is_pinned(const std::byte* bytes, std::int64_t size_bytes) const;
  bool ask(Load& load);
  bool copy_from_host(Load& load, BlockId id);
  void end_read(Slot& slot);
  void send(Load& load, BlockId id, const std::byte* from);
  void send_slot(Slot& slot);
  void reclaim();
  void forward();
  void retire();
  void wait_some();
  void cancel(Load& load);
  Run block_run(BlockId id) const { return make_run(parts_.blocks, {id, 1}); }

  VramTierParts parts_;
  Stream uploads_;
  Residency residency_;
  std::vector<Load> loads_;    // fixed size
  std::vector<Slot> slots_;    // fixed size
  std::vector<Place> places_;  // fixed size, of the destinations seen last
  Event idle_;                 // of `compute`
  std::size_t oldest_ = 0;     // slot: they are used in turns
  std::size_t n_slots_used_ = 0;
  std::int64_t n_loads_sent_ = 0;
  std::int64_t sent_bytes_ = 0;
  double busy_s_ = 0;
};

}  // namespace windlass

// An IoEngine that reads for real but at the times, in the order and with the faults a test wants.
// One seed decides everything: a run repeats exactly.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "tiers/io_engine.h"

namespace windlass {

struct FaultPlan {
  std::uint64_t seed = 1;
  int capacity = 8;
  int max_latency = 0;   // a read completes after 0..max_latency calls of reap
  bool reorder = false;  // else completions come in the order of submission
  double short_read_rate =
      0;  // part of the reads that return less, at a multiple of 4 KiB where they can
  double again_rate = 0;  // part of the reads that return -EINTR or -EAGAIN
  int fail_read = -1;     // index of the read that fails (-1: none)
  int fail_errno = 5;     // EIO
  bool hold = false;      // nothing completes but for a waiting reap
  int stale_read = -1;    // index of the read that claims success and brings nothing
  int wrong_read = -1;    // index of the read that brings its neighbour's bytes in the file
};

// Owner-thread.
class FaultIoEngine : public IoEngine {
 public:
  explicit FaultIoEngine(const FaultPlan& faults) : plan(faults), random_(faults.seed) {}

  const char* name() const override { return "fault"; }
  int capacity() const override { return plan.capacity; }
  void submit(const ReadRequest& request) override;
  void flush() override { ++n_flushes; }
  int reap(std::span<ReadCompletion> out, bool wait) override;
  bool register_memory(std::span<std::byte>, std::string* why) override;

  int in_flight() const { return static_cast<int>(pending_.size()); }

  FaultPlan plan;                      // may be changed between calls
  std::vector<ReadRequest> submitted;  // every request, in order
  int max_in_flight = 0;
  int n_flushes = 0;

 private:
  struct Pending {
    ReadRequest request;
    int latency;
    int index;
  };
  bool chance(double rate) { return std::uniform_real_distribution<>(0, 1)(random_) < rate; }
  std::size_t next_pending(bool wait);
  std::int64_t perform(const Pending& pending);

  std::mt19937_64 random_;
  std::vector<Pending> pending_;
};

}  // namespace windlass

// Plays a Plan: issues its loads ahead, waits for what an entry needs, runs the entry, and with it
// those beside it that have all they need, gives the slots back; an entry of the GPU is handed to
// its lane. Entries of experts that no row is
// routed to are left out: neither read nor run. It has no code that knows what a layer is; any
// hand-written Plan plays.
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/expert_cache.h"
#include "pipeline/gpu_lane.h"
#include "pipeline/op_runner.h"
#include "pipeline/ring.h"
#include "pipeline/schedule.h"
#include "pipeline/step.h"
#include "pipeline/trace.h"
#include "tiers/tier_manager.h"

namespace windlass {

struct ExecutorStats {
  double cpu_busy_s = 0;  // of finished steps, all but wait_s: ops, and the little between them
  double wait_s = 0;      // for blocks to arrive, and for the GPU
};

// Owner-thread. The step path allocates nothing and waits only for reads issued as early as the
// ring allowed.
class Executor {
 public:
  // max_blocks: most blocks that one entry of any plan leases. trace may be null, and gpu where no
  // plan has entries of it.
  Executor(TierManager& tiers, OpRunner& ops, Ring& ring, ExpertCache& experts,
           std::int32_t max_blocks, bool overlap, Trace* trace, GpuLane* gpu = nullptr);
  // next: the plan that will most likely follow (its loads are issued in this step's slack), or
  // null. Errors: Error(kIo) of a failed read, Error(kInterrupted) where step.interrupted said so.
  // The rings are empty afterwards and nothing is loading, so that the caller may go on or stop.
  // Without an error the GPU may still be at work when it returns: logits that were wanted have
  // been handed out.
  void play(const Plan& plan, const StepInput& step, const Plan* next);
  ExecutorStats stats() const { return stats_; }

 private:
  void begin_step(const Plan& plan, const StepInput& step, const Plan* next);
  void give_up();
  std::size_t run_on_gpu(const Plan& plan, std::size_t index, const StepInput& step);
  void move_buffers(const Plan& plan, std::size_t end);
  void wait_for_buffers(const ComputeEntry& entry);
  void make_ready(const ComputeEntry& entry);
  void wait_for(const ComputeEntry& entry);
  bool is_here(const ComputeEntry& entry) const;
  bool is_left_out(const ComputeEntry& entry) const {
    return entry.expert_run >= 0 && ops_.routed_rows(entry.matrix) == 0;
  }
  bool is_cached(const ComputeEntry& entry) const {
    return entry.expert_run >= 0 && experts_.in_use();
  }
  std::size_t run_from(const Plan& plan, std::size_t first, const StepInput& step);
  std::size_t collect(const Plan& plan, std::size_t first);
  void let_go(std::int32_t last);
  void want_experts(const Plan& plan, const RoutedStretch& stretch);

  TierManager& tiers_;
  OpRunner& ops_;
  Ring& ring_;
  ExpertCache& experts_;
  bool overlap_;
  Trace* trace_;
  GpuLane* gpu_;
  std::size_t next_move_ = 0;  // of the plan
  ExecutorStats stats_;
  std::vector<ReadyEntry> ready_;  // what runs next, together; capacity Team::kMostJobs
  std::vector<Lease> leases_;      // of these; capacity max_blocks for each
};

}  // namespace windlass

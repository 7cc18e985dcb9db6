// Counts what each phase of a run (prefill, decode) did, for the receipt.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "pipeline/cost_model.h"
#include "pipeline/executor.h"
#include "pipeline/receipt.h"
#include "pipeline/session_plan.h"
#include "tiers/transfer.h"

namespace windlass {

// What a run has used so far.
struct Counters {
  double at_s = 0;  // now_s
  LinkStats link;
  ExecutorStats cpu;
  ExpertStats experts = {};
  double threads_busy_s = 0;     // Team::busy_s
  std::int64_t regions = 0;      // ops that were cut over the threads
  double region_overhead_s = 0;  // Team::region_overhead_s
  LinkUse host_to_vram = {}, vram_to_host = {};
};

class PhaseMeter {
 public:
  // One step ended: its shape, and the counters before and after it.
  void add(const StepLoad& load, const Counters& before, const Counters& after);
  // What the phase did, beside what `forecast` says of steps of its shapes: their mean, and the
  // bottleneck of those that take the most of it.
  PhaseReceipt receipt(const std::function<StepForecast(const StepLoad&)>& forecast) const;
  // Shapes of the phase's steps to forecast, each with how many steps it stands for: decode steps
  // of as many sequences share one shape at their mean depth; a prompt's micro-batches are few and
  // stand each for itself.
  struct Weighted {
    StepLoad load;
    double steps = 0;
  };
  std::vector<Weighted> shapes() const;

 private:
  PhaseReceipt sum_;
  // Decode steps of as many sequences; `load` has the sum of their depths.
  struct Alike {
    StepLoad load;
    std::int64_t steps = 0;
  };
  std::vector<Alike> decodes_;
  std::vector<StepLoad> batches_;  // all other steps
};

}  // namespace windlass

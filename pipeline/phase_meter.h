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
  double threads_busy_s = 0;  // Team::busy_s
};

class PhaseMeter {
 public:
  // One step ended: its shape, and the counters before and after it.
  void add(const StepLoad& load, const Counters& before, const Counters& after);
  // What the phase did, beside what `forecast` says of steps of its shapes: their mean, and the
  // bottleneck of those that take the most of it.
  PhaseReceipt receipt(const std::function<StepForecast(const StepLoad&)>& forecast) const;
  // Shapes of the phase's steps to forecast, each with how many steps it stands for: a decode
  // phase's steps share one shape at their mean depth; a prompt's micro-batches are few and stand
  // each for itself.
  struct Weighted {
    StepLoad load;
    double steps = 0;
  };
  std::vector<Weighted> shapes() const;

 private:
  PhaseReceipt sum_;
  std::int64_t single_steps_ = 0, single_depth_ = 0;  // steps of one row: count, and sum of depths
  std::int64_t single_logits_rows_ = 0;
  std::vector<StepLoad> batches_;  // steps of many rows
};

}  // namespace windlass

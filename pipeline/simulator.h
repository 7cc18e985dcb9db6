// Plays a Plan against a cost model on a virtual clock: the timeline that the executor should
// produce.
#pragma once

#include <cstdint>

#include "pipeline/cost_model.h"
#include "pipeline/schedule.h"

namespace windlass {

struct Prediction {
  double step_s = 0;       // one step in the steady state (after the first filled the ring)
  double disk_busy_s = 0;  // of that step
  double cpu_busy_s = 0;
  std::int64_t disk_bytes = 0;
};

struct SimulatorOptions {
  std::int64_t ring_slots = 0;
  bool overlap = true;              // false: each load is issued when its first user is due
  bool embedding_resident = false;  // rows fetched singly come from memory
};

// Steady state of playing `plan` again and again with `load`. Cost: three passes over the plan's
// entries. Model: the CPU runs one entry at a time; the link moves one read at a time at the
// profile's rate, each not before a latency after its issue; a read is issued when its ring slot is
// free, in order, between two entries. While the link is busy, entries take longer by the bandwidth
// of DRAM that arriving bytes take.
Prediction simulate(const Plan& plan, const CostModel& costs, const StepLoad& load,
                    const SimulatorOptions& options);

}  // namespace windlass

// Plays a Plan against a cost model on a virtual clock: the timeline that the executor should
// produce.
#pragma once

#include <cstdint>
#include <span>

#include "pipeline/cost_model.h"
#include "pipeline/schedule.h"

namespace windlass {

struct Prediction {
  double step_s = 0;       // one step in the steady state (after the first filled the ring)
  double disk_busy_s = 0;  // of that step
  double cpu_busy_s = 0;
  std::int64_t disk_bytes = 0;
  double expert_read_bytes = 0;  // of disk_bytes, expected
};

struct SimulatorOptions {
  std::int64_t ring_slots = 0;
  bool overlap = true;              // false: each load is issued when its first user is due
  bool embedding_resident = false;  // rows fetched singly come from memory
  // The expert cache: all that it may hold (empty: no cache), slots that read ahead, and how many
  // of the matrices that a step needs it is expected to hold.
  std::span<const Run> expert_runs = {};
  std::int64_t expert_read_ahead = 0;
  double expert_hit_rate = 0;
};
// For a placement and its decode steps, or larger ones; `experts`: expert_runs() of its model.
SimulatorOptions simulator_options(const Placement& placement, std::span<const Run> experts,
                                   bool overlap, bool embedding_resident, bool decode);

// Steady state of playing `plan` again and again with `load`. Cost: three passes over the plan's
// entries. Model: the CPU runs one entry at a time; the link moves one read at a time at the
// profile's rate, each not before a latency after its issue; a read is issued when its ring slot is
// free, in order, between two entries. While the link is busy, entries take longer by the bandwidth
// of DRAM that arriving bytes take. Matrices of experts cost the share of their time and bytes that
// is expected of them; their reads begin when the routing is known, before the ring's.
Prediction simulate(const Plan& plan, const CostModel& costs, const StepLoad& load,
                    const SimulatorOptions& options);

}  // namespace windlass

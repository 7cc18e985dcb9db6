// The GPU's side of the simulator's timeline: its compute stream, its ring and the copies into it.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "pipeline/simulator.h"

namespace windlass {

// Clocks of the compute stream and of the stream of copies, which live across steps. All times are
// in seconds from the simulation's start.
class SimulatedGpu {
 public:
  // disk_free_s: the disk link's clock, which reads on their way to VRAM move on.
  SimulatedGpu(const CostModel& costs, const StepLoad& load, const SimulatorOptions& options,
               double* disk_free_s);

  void begin_step(Prediction* prediction) { prediction_ = prediction; }
  // Starts every load whose slot will be free after entries that are on the stream already: those
  // before `entry`. Those of the next step too, as the same plan follows.
  void start_loads(const Plan& plan, std::int32_t entry, double now_s);
  // A buffer goes to the GPU: the host goes on.
  void move_in(std::int64_t size_bytes, double now_s);
  // A buffer comes back: when the host has it.
  double move_out(std::int64_t size_bytes, double now_s);
  void compute(const Plan& plan, std::int32_t entry, double now_s);
  // An entry of the CPU begins: when it ends, copies slowing it down meanwhile.
  double end_on_cpu(const ComputeEntry& entry, double now_s, double alone_s, bool disk_busy);
  // When all that is on the compute stream has ended.
  double end_s() const { return free_s_; }
  void end_step(const Plan& plan, double now_s);

 private:
  struct Interval {
    double begin_s, end_s;
  };
  double copy_load(const LoadEntry& load, double issue_s, double slot_free_s);
  double copy(std::int64_t size_bytes, double from_s);
  void note(Resource resource, double begin_s, double end_s, std::int32_t op, bool waits = false);

  const CostModel& costs_;
  const StepLoad& load_;
  const SimulatorOptions& options_;
  double* disk_free_s_;
  Prediction* prediction_ = nullptr;
  double free_s_ = 0;       // of the compute stream
  double copy_free_s_ = 0;  // of the stream of loads
  std::vector<double> slot_free_s_, slot_ready_s_;
  std::vector<double> staging_free_s_;
  std::int64_t n_staged_ = 0;                // blocks that passed the staging slots
  std::int64_t n_started_ = 0, n_used_ = 0;  // loads, over all steps
  std::int64_t step_ = 0;
  std::deque<Interval> copies_;  // of loads, that entries of the CPU may run beside
};

}  // namespace windlass

#include "pipeline/executor.h"

#include "src/base/check.h"
#include "src/base/clock.h"
#include "src/base/error.h"

namespace windlass {

Executor::Executor(TierManager& tiers, OpRunner& ops, Ring& ring, ExpertCache& experts,
                   std::int32_t max_blocks, bool overlap, Trace* trace)
    : tiers_(tiers), ops_(ops), ring_(ring), experts_(experts), overlap_(overlap), trace_(trace) {
  leases_.reserve(static_cast<std::size_t>(max_blocks));
}

void Executor::play(const Plan& plan, const StepInput& step, const Plan* next) {
  try {
    ring_.begin_step(&plan, next);
    ring_.pump(0, overlap_);
    tiers_.poll();
    ops_.begin_step(step);
    experts_.begin_step(step.rows());
    auto routed = plan.routed.begin();
    for (std::size_t i = 0; i < plan.compute.size(); ++i) {
      if (step.interrupted && step.interrupted()) fail(ErrorCode::kInterrupted, "interrupted");
      const auto index = static_cast<std::int32_t>(i);
      run_entry(plan.compute[i], index, step);
      if (routed == plan.routed.end() || routed->route != index) continue;
      want_experts(plan, *routed++);
    }
  } catch (...) {
    leases_.clear();
    ring_.clear();
    experts_.give_up();
    throw;
  }
}

void Executor::run_entry(const ComputeEntry& entry, std::int32_t index, const StepInput& step) {
  if (is_left_out(entry)) return ring_.pump(index + 1, overlap_);
  const bool cached = entry.expert_run >= 0 && experts_.in_use();
  const double begin_s = now_s();
  if (cached) experts_.require(entry.expert_run);
  const std::byte* weights = lease_blocks(entry);
  const double ready_s = now_s();
  ops_.run(entry, weights, step);
  const double end_s = now_s();
  leases_.clear();
  if (cached) experts_.used(entry.expert_run);
  if (overlap_) experts_.pump();
  ring_.release(index);
  ring_.pump(index + 1, overlap_);
  tiers_.poll();
  stats_.wait_s += ready_s - begin_s;
  stats_.cpu_busy_s += end_s - ready_s;
  if (trace_ != nullptr) {
    if (ready_s - begin_s > 20e-6) trace_->add(TraceRow::kWait, -1, begin_s, ready_s);
    trace_->add(TraceRow::kCompute, entry.op, ready_s, end_s);
  }
}

// All that the routing asks for is known now and issued together.
void Executor::want_experts(const Plan& plan, const RoutedStretch& stretch) {
  if (!experts_.in_use()) return;
  experts_.begin_routed();
  for (std::int32_t i = stretch.route + 1; i < stretch.end; ++i) {
    const ComputeEntry& entry = plan.compute[static_cast<std::size_t>(i)];
    if (entry.expert_run < 0 || is_left_out(entry)) continue;
    experts_.want(entry.expert_run, ops_.routed_rows(entry.matrix));
  }
  if (overlap_) experts_.pump();
}

// Waits for the entry's blocks and pins them while it runs; returns the first byte.
const std::byte* Executor::lease_blocks(const ComputeEntry& entry) {
  for (std::int32_t i = 0; i < entry.blocks.count; ++i) {
    const BlockId id{index_of(entry.blocks.first) + i};
    if (!tiers_.present(id)) tiers_.wait_present(id);
    leases_.push_back(tiers_.lease(id));
  }
  return leases_.empty() ? nullptr : leases_.front().bytes();
}

}  // namespace windlass

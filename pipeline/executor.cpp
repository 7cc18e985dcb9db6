#include "pipeline/executor.h"

#include "src/base/check.h"
#include "src/base/clock.h"
#include "src/base/error.h"

namespace windlass {

Executor::Executor(TierManager& tiers, OpRunner& ops, Ring& ring, ExpertCache& experts,
                   std::int32_t max_blocks, bool overlap, Trace* trace, GpuLane* gpu)
    : tiers_(tiers),
      ops_(ops),
      ring_(ring),
      experts_(experts),
      overlap_(overlap),
      trace_(trace),
      gpu_(gpu) {
  ready_.reserve(Team::kMostJobs);
  leases_.reserve(static_cast<std::size_t>(max_blocks) * Team::kMostJobs);
}

void Executor::play(const Plan& plan, const StepInput& step, const Plan* next) {
  const double begin_s = now_s(), waited_s = stats_.wait_s;
  const double gpu_waited_s = gpu_ != nullptr ? gpu_->wait_s() : 0;
  try {
    begin_step(plan, step, next);
    auto routed = plan.routed.begin();
    for (std::size_t i = 0; i < plan.compute.size();) {
      if (step.interrupted && step.interrupted()) fail(ErrorCode::kInterrupted, "interrupted");
      const bool on_gpu = plan.compute[i].processor == Processor::kGpu;
      i = on_gpu ? run_on_gpu(plan, i, step) : run_from(plan, i, step);
      if (routed == plan.routed.end() || routed->route != static_cast<std::int32_t>(i) - 1)
        continue;
      want_experts(plan, *routed++);
    }
  } catch (...) {
    give_up();
    throw;
  }
  if (gpu_ != nullptr) stats_.wait_s += gpu_->wait_s() - gpu_waited_s;
  stats_.cpu_busy_s += now_s() - begin_s - (stats_.wait_s - waited_s);
}

void Executor::begin_step(const Plan& plan, const StepInput& step, const Plan* next) {
  next_move_ = 0;
  ring_.begin_step(&plan, next);
  ring_.pump(0, overlap_);
  tiers_.poll();
  if (gpu_ != nullptr) gpu_->wait_for_known();
  ops_.begin_step(step);
  if (gpu_ != nullptr) gpu_->begin_step(plan, next, step, overlap_);
  experts_.begin_step(step.rows(), std::ssize(plan.routed));
}

void Executor::give_up() {
  ready_.clear();
  leases_.clear();
  ring_.clear();
  experts_.give_up();
  if (gpu_ != nullptr) gpu_->give_up();
}

std::size_t Executor::run_on_gpu(const Plan& plan, std::size_t index, const StepInput& step) {
  const ComputeEntry& entry = plan.compute[index];
  const auto last = static_cast<std::int32_t>(index);
  WINDLASS_CHECK(gpu_ != nullptr, last);
  move_buffers(plan, index + 1);
  gpu_->run(entry, step);
  let_go(last);
  return index + 1;
}

// All that entries before `end` need of the other processor.
void Executor::move_buffers(const Plan& plan, std::size_t end) {
  for (; next_move_ < plan.moves.size(); ++next_move_) {
    const BufferMove& move = plan.moves[next_move_];
    if (move.before >= static_cast<std::int32_t>(end)) return;
    gpu_->move(move);
  }
}

// Of what the entry reads from the GPU, and of what it may overwrite while it is copied there.
void Executor::wait_for_buffers(const ComputeEntry& entry) {
  for (const BufferId buffer : ops_.buffers_of(entry)) {
    if (buffer != kNoBuffer) gpu_->wait_for_buffer(buffer);
  }
}

// Runs the entry and those beside it that are ready; returns the index of the next one.
std::size_t Executor::run_from(const Plan& plan, std::size_t first, const StepInput& step) {
  const std::size_t end = collect(plan, first);
  if (gpu_ != nullptr) {
    move_buffers(plan, end);
    for (std::size_t i = first; i < end; ++i) wait_for_buffers(plan.compute[i]);
  }
  const double begin_s = trace_ != nullptr ? now_s() : 0;
  if (!ready_.empty()) ops_.run(ready_, step);
  if (trace_ != nullptr) {
    trace_->add(TraceRow::kCompute, plan.compute[first].op, begin_s, now_s());
  }
  let_go(static_cast<std::int32_t>(end) - 1);
  return end;
}

// Waits for what the first entry needs; what comes beside it is taken along as far as it is here.
std::size_t Executor::collect(const Plan& plan, std::size_t first) {
  const ComputeEntry& awaited = plan.compute[first];
  if (!is_left_out(awaited)) {
    if (is_cached(awaited)) experts_.require(awaited.expert_run);
    if (!is_here(awaited)) wait_for(awaited);
    make_ready(awaited);
  }
  std::size_t end = first + 1;
  for (; end < plan.compute.size() && plan.compute[end].beside_previous; ++end) {
    const ComputeEntry& entry = plan.compute[end];
    if (is_left_out(entry)) continue;
    if (ready_.empty() || ready_.size() == Team::kMostJobs || !is_here(entry)) break;
    make_ready(entry);
  }
  return end;
}

bool Executor::is_here(const ComputeEntry& entry) const {
  for (std::int32_t i = 0; i < entry.blocks.count; ++i) {
    if (!tiers_.present(BlockId{index_of(entry.blocks.first) + i})) return false;
  }
  return true;
}

void Executor::wait_for(const ComputeEntry& entry) {
  constexpr double kShownWaitS = 20e-6;
  const double begin_s = now_s();
  for (std::int32_t i = 0; i < entry.blocks.count; ++i) {
    tiers_.wait_present(BlockId{index_of(entry.blocks.first) + i});
  }
  const double end_s = now_s();
  stats_.wait_s += end_s - begin_s;
  if (trace_ != nullptr && end_s - begin_s > kShownWaitS) {
    trace_->add(TraceRow::kWait, -1, begin_s, end_s);
  }
}

// Pins the entry's blocks, which are here, until it has run.
void Executor::make_ready(const ComputeEntry& entry) {
  const std::size_t first_lease = leases_.size();
  for (std::int32_t i = 0; i < entry.blocks.count; ++i) {
    leases_.push_back(tiers_.lease(BlockId{index_of(entry.blocks.first) + i}));
  }
  ready_.push_back({&entry, entry.blocks.count > 0 ? leases_[first_lease].bytes() : nullptr});
}

// What has run, up to entry `last`, gives back what it held; the slots that this frees are filled.
void Executor::let_go(std::int32_t last) {
  leases_.clear();
  for (const ReadyEntry& ready : ready_) {
    if (is_cached(*ready.entry)) experts_.used(ready.entry->expert_run);
  }
  ready_.clear();
  if (overlap_) experts_.pump();
  ring_.release(last);
  ring_.pump(last + 1, overlap_);
  if (gpu_ != nullptr) gpu_->let_go(last, overlap_);
  tiers_.poll();
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

}  // namespace windlass

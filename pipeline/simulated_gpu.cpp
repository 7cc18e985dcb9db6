#include "pipeline/simulated_gpu.h"

#include <algorithm>

#include "src/base/check.h"

namespace windlass {

SimulatedGpu::SimulatedGpu(const CostModel& costs, const StepLoad& load,
                           const SimulatorOptions& options, double* disk_free_s)
    : costs_(costs), load_(load), options_(options), disk_free_s_(disk_free_s) {
  const auto slots = static_cast<std::size_t>(std::max<std::int64_t>(options.vram_ring_slots, 1));
  slot_free_s_.assign(slots, 0.0);
  slot_ready_s_.assign(slots, 0.0);
  staging_free_s_.assign(static_cast<std::size_t>(std::max<std::int64_t>(options.staging_slots, 1)),
                         0.0);
}

void SimulatedGpu::note(Resource resource, double begin_s, double end_s, std::int32_t op,
                        bool waits) {
  if (options_.spans && end_s > begin_s)
    prediction_->spans.push_back({resource, begin_s, end_s, op, waits});
}

// One copy of the loads' stream, not before from_s; when it ends.
double SimulatedGpu::copy(std::int64_t size_bytes, double from_s) {
  const double begin_s = std::max(copy_free_s_, from_s);
  const double seconds = costs_.h2d_s(size_bytes);
  copy_free_s_ = begin_s + seconds;
  if (!copies_.empty() && copies_.back().end_s >= begin_s) {
    copies_.back().end_s = copy_free_s_;
  } else {
    copies_.push_back({begin_s, copy_free_s_});
  }
  prediction_->h2d_busy_s += seconds;
  prediction_->h2d_bytes += size_bytes;
  note(Resource::kHostToVram, begin_s, copy_free_s_, -1);
  return copy_free_s_;
}

double SimulatedGpu::copy_load(const LoadEntry& load, double issue_s, double slot_free_s) {
  if (load.from == Tier::kHost)
    return copy(load.run.aligned.size_bytes, std::max(issue_s, slot_free_s));
  // Block by block through the staging slots of the host.
  WINDLASS_CHECK(options_.blocks != nullptr && options_.staging_slots > 0, options_.staging_slots);
  double end_s = 0;
  for (std::int32_t i = 0; i < load.run.blocks.count; ++i) {
    const BlockId id{index_of(load.run.blocks.first) + i};
    const std::int64_t bytes = make_run(*options_.blocks, {id, 1}).aligned.size_bytes;
    double& staging_s =
        staging_free_s_[static_cast<std::size_t>(n_staged_++) % staging_free_s_.size()];
    const double read_s = costs_.read_s(bytes);
    const double begin_s = std::max({*disk_free_s_, issue_s + costs_.read_latency_s(), staging_s});
    *disk_free_s_ = begin_s + read_s;
    prediction_->disk_busy_s += read_s;
    prediction_->disk_bytes += bytes;
    note(Resource::kDisk, begin_s, *disk_free_s_, -1);
    end_s = copy(bytes, std::max(*disk_free_s_, slot_free_s));
    staging_s = end_s;
  }
  return end_s;
}

void SimulatedGpu::start_loads(const Plan& plan, std::int32_t entry, double now_s) {
  const auto n_loads = static_cast<std::int64_t>(plan.vram_loads.size());
  const auto n_slots = static_cast<std::int64_t>(slot_free_s_.size());
  if (n_loads == 0) return;
  const auto due = [&] {  // before the entry at hand
    return n_started_ / n_loads == step_ &&
           plan.vram_loads[static_cast<std::size_t>(n_started_ % n_loads)].first_use <= entry;
  };
  // n_used_ loads have their last entry on the stream.
  while (n_started_ < n_used_ + n_slots && (options_.overlap || due())) {
    const auto slot = static_cast<std::size_t>(n_started_ % n_slots);
    const double issue_s = options_.overlap ? now_s : std::max(now_s, free_s_);
    const LoadEntry& load = plan.vram_loads[static_cast<std::size_t>(n_started_ % n_loads)];
    slot_ready_s_[slot] = copy_load(load, issue_s, slot_free_s_[slot]) + costs_.gpu().h2d_latency_s;
    ++n_started_;
  }
}

void SimulatedGpu::move_in(std::int64_t size_bytes, double now_s) {
  const double begin_s = std::max(free_s_, now_s);
  const double seconds = costs_.gpu().h2d_latency_s + costs_.h2d_s(size_bytes);
  free_s_ = begin_s + seconds;
  prediction_->h2d_busy_s += seconds;
  prediction_->h2d_bytes += size_bytes;
  note(Resource::kHostToVram, begin_s, free_s_, -1);
}

double SimulatedGpu::move_out(std::int64_t size_bytes, double now_s) {
  const double begin_s = std::max(free_s_, now_s);
  const double seconds = costs_.gpu().d2h_latency_s + costs_.d2h_s(size_bytes);
  free_s_ = begin_s + seconds;
  prediction_->d2h_busy_s += seconds;
  prediction_->d2h_bytes += size_bytes;
  note(Resource::kVramToHost, begin_s, free_s_, -1);
  return free_s_;
}

void SimulatedGpu::compute(const Plan& plan, std::int32_t entry, double now_s) {
  const ComputeEntry& computed = plan.compute[static_cast<std::size_t>(entry)];
  const auto n_loads = static_cast<std::int64_t>(plan.vram_loads.size());
  const LoadEntry* load = n_used_ < (step_ + 1) * n_loads
                              ? &plan.vram_loads[static_cast<std::size_t>(n_used_ % n_loads)]
                              : nullptr;
  const auto slot = static_cast<std::size_t>(n_used_) % slot_free_s_.size();
  double begin_s = std::max(free_s_, now_s);
  if (load != nullptr && load->first_use <= entry) {
    note(Resource::kGpu, begin_s, slot_ready_s_[slot], computed.op, true);
    begin_s = std::max(begin_s, slot_ready_s_[slot]);
  }
  const double seconds = costs_.gpu_s(computed, load_);
  free_s_ = begin_s + seconds;
  prediction_->gpu_busy_s += seconds;
  note(Resource::kGpu, begin_s, free_s_, computed.op);
  if (load == nullptr || load->last_use != entry) return;
  slot_free_s_[slot] = free_s_;
  ++n_used_;
}

double SimulatedGpu::end_on_cpu(const ComputeEntry& entry, double now_s, double alone_s,
                                bool disk_busy) {
  const double beside = costs_.slowdown(entry, load_, disk_busy, costs_.gpu().h2d_bytes_per_s);
  const double alone = costs_.slowdown(entry, load_, disk_busy, 0);
  double left_s = alone_s;  // of the entry's work
  while (!copies_.empty() && copies_.front().end_s <= now_s) copies_.pop_front();
  for (const Interval& copy : copies_) {
    const double free_s = std::max(copy.begin_s - now_s, 0.0) / alone;
    if (left_s <= free_s) break;
    left_s -= free_s;
    now_s = std::max(now_s, copy.begin_s);
    const double done_s = (copy.end_s - now_s) / beside;
    if (left_s <= done_s) return now_s + left_s * beside;
    left_s -= done_s;
    now_s = copy.end_s;
  }
  return now_s + left_s * alone;
}

void SimulatedGpu::end_step(const Plan& plan, double now_s) {
  ++step_;
  if (options_.overlap) start_loads(plan, -1, now_s);
}

}  // namespace windlass

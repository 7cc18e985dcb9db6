#include "pipeline/simulator.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "pipeline/expert_cache.h"
#include "pipeline/simulated_gpu.h"
#include "src/base/check.h"

namespace windlass {
namespace {

// The state that lives across steps: clocks of both resources and when each ring slot becomes free.
class Timeline {
 public:
  // gpu: whether the plan uses one.
  Timeline(const CostModel& costs, const StepLoad& load, const SimulatorOptions& options, bool gpu)
      : costs_(costs), load_(load), options_(options) {
    slot_free_s_.assign(static_cast<std::size_t>(std::max<std::int64_t>(options.ring_slots, 1)),
                        0.0);
    if (gpu) gpu_.emplace(costs, load, options, &link_free_s_);
  }

  double now() const { return cpu_s_; }

  void play(const Plan& plan, Prediction& prediction) {
    std::size_t next_load = 0, next_routed = 0, next_move = 0;
    if (gpu_) gpu_->begin_step(&prediction);
    for (std::size_t i = 0; i < plan.compute.size(); ++i) {
      const ComputeEntry& entry = plan.compute[i];
      if (gpu_) {
        const auto index = static_cast<std::int32_t>(i);
        gpu_->start_loads(plan, index, cpu_s_);
        next_move = move_buffers(plan, index, next_move, prediction);
        if (entry.processor == Processor::kGpu) {
          gpu_->compute(plan, index, cpu_s_);
          continue;
        }
      }
      double ready_s = read_expert(entry, prediction);
      if (next_load < plan.loads.size() &&
          plan.loads[next_load].first_use <= static_cast<std::int32_t>(i)) {
        ready_s = std::max(ready_s, read(plan.loads[next_load], prediction));
      }
      wait_until(std::max(ready_s, fetch_rows(entry, prediction)), entry.op, prediction);
      compute(entry, prediction);
      if (is_cached(entry)) expert_uses_.push_back({expert_reads_, cpu_s_});
      if (next_routed < plan.routed.size() &&
          plan.routed[next_routed].route == static_cast<std::int32_t>(i)) {
        begin_routed();
        ++next_routed;
      }
      if (next_load < plan.loads.size() &&
          plan.loads[next_load].last_use == static_cast<std::int32_t>(i)) {
        slot_free_s_[slot()] = cpu_s_;
        ++n_loads_;
        ++next_load;
        loaded_ = false;
      }
    }
    if (!gpu_) return;
    wait_until(gpu_->end_s(), -1, prediction);
    gpu_->end_step(plan, cpu_s_);
  }

 private:
  void note(Resource resource, double begin_s, double end_s, std::int32_t op, bool waits,
            Prediction& prediction) const {
    if (options_.spans && end_s > begin_s)
      prediction.spans.push_back({resource, begin_s, end_s, op, waits});
  }

  void wait_until(double ready_s, std::int32_t op, Prediction& prediction) {
    note(Resource::kCpu, cpu_s_, ready_s, op, true, prediction);
    cpu_s_ = std::max(cpu_s_, ready_s);
  }

  void compute(const ComputeEntry& entry, Prediction& prediction) {
    const bool link_busy = cpu_s_ < link_full_s_;
    const double begin_s = cpu_s_, alone_s = costs_.compute_s(entry, load_);
    cpu_s_ = gpu_ ? gpu_->end_on_cpu(entry, begin_s, alone_s, link_busy)
                  : begin_s + alone_s * costs_.slowdown(entry, load_, link_busy, 0);
    prediction.cpu_busy_s += cpu_s_ - begin_s;
    note(Resource::kCpu, begin_s, cpu_s_, entry.op, false, prediction);
  }

  // Those before entry `index`; the next one's number.
  std::size_t move_buffers(const Plan& plan, std::int32_t index, std::size_t next,
                           Prediction& prediction) {
    for (; next < plan.moves.size() && plan.moves[next].before == index; ++next) {
      const BufferMove& move = plan.moves[next];
      const std::int64_t bytes = costs_.move_bytes(move, load_);
      if (move.to == Processor::kGpu) {
        gpu_->move_in(bytes, cpu_s_);
      } else {
        wait_until(gpu_->move_out(bytes, cpu_s_), plan.compute[static_cast<std::size_t>(index)].op,
                   prediction);
      }
    }
    return next;
  }

  std::size_t slot() const { return n_loads_ % slot_free_s_.size(); }

  // When the read that serves this entry ends (0: an earlier entry waited for it). Its issue: the
  // moment its slot was freed (or now, without overlap).
  double read(const LoadEntry& entry, Prediction& prediction) {
    if (loaded_) return 0;
    loaded_ = true;
    const double issue_s =
        options_.overlap ? std::max(last_issue_s_, slot_free_s_[slot()]) : cpu_s_;
    last_issue_s_ = issue_s;
    const double read_s = costs_.read_s(entry.run.aligned.size_bytes);
    const double done_s = std::min(read_s, idle_s_);  // while the link had no expert to read
    idle_s_ -= done_s;
    link_free_s_ = std::max(link_free_s_, issue_s + costs_.read_latency_s()) + read_s - done_s;
    note(Resource::kDisk, link_free_s_ - read_s, link_free_s_, -1, false, prediction);
    prediction.disk_busy_s += read_s;
    prediction.disk_bytes += entry.run.aligned.size_bytes;
    if (options_.overlap) {
      link_full_s_ = link_free_s_ + read_s * static_cast<double>(slot_free_s_.size());
    }
    return link_free_s_;
  }

  bool is_cached(const ComputeEntry& entry) const {
    return entry.expert_run >= 0 && !options_.expert_runs.empty();
  }

  void begin_routed() {
    routed_s_ = cpu_s_;
    expert_reads_ = 0;
    expert_uses_.clear();
    next_use_ = 0;
  }

  // When what is expected to be read of a matrix is there (0: not in the cache's care). Reads are
  // counted in fractions: as many as there are slots for are issued when the routing is known, the
  // others as earlier ones are used.
  double read_expert(const ComputeEntry& entry, Prediction& prediction) {
    if (!is_cached(entry)) return 0;
    const double reads = costs_.played_share(entry, load_) * (1 - options_.expert_hit_rate);
    const auto& run = options_.expert_runs[static_cast<std::size_t>(entry.expert_run)];
    const double read_s = reads * costs_.read_s(run.aligned.size_bytes);
    expert_reads_ += reads;
    const double issue_s = options_.overlap ? slot_for_expert_s() : cpu_s_;
    const double begin_s = std::max(link_free_s_, issue_s + costs_.read_latency_s());
    if (options_.ring_slots > 0) idle_s_ += std::max(issue_s - link_free_s_, 0.0);
    link_free_s_ = begin_s + read_s;
    if (options_.overlap) link_full_s_ = std::max(link_full_s_, link_free_s_);
    prediction.disk_busy_s += read_s;
    prediction.expert_read_bytes += reads * static_cast<double>(run.aligned.size_bytes);
    return link_free_s_;
  }

  double slot_for_expert_s() {
    const double used = expert_reads_ - static_cast<double>(options_.expert_read_ahead);
    if (used <= 0) return routed_s_;
    while (next_use_ < expert_uses_.size() && expert_uses_[next_use_].reads < used) ++next_use_;
    return next_use_ < expert_uses_.size() ? expert_uses_[next_use_].done_s : cpu_s_;
  }

  // Rows fetched singly are asked for when the step starts and overtake what is queued, but not
  // what is in flight.
  double fetch_rows(const ComputeEntry& entry, Prediction& prediction) {
    const std::int64_t bytes = costs_.fetched_bytes(entry, load_, options_.embedding_resident);
    if (bytes == 0) return 0;
    const double read_s = costs_.read_s(bytes);
    prediction.disk_busy_s += read_s;
    prediction.disk_bytes += bytes;
    link_free_s_ = std::max(link_free_s_, cpu_s_) + read_s;
    return cpu_s_ + costs_.small_read_s() + read_s;
  }

  const CostModel& costs_;
  const StepLoad& load_;
  const SimulatorOptions& options_;
  double cpu_s_ = 0, link_free_s_ = 0, last_issue_s_ = 0;
  double link_full_s_ = 0;   // until then reads ahead keep the link busy: all slots' worth
  double idle_s_ = 0;        // of the link before experts' reads: the ring's went on there
  double routed_s_ = 0;      // when the last routing was known
  double expert_reads_ = 0;  // expected since then
  struct ExpertUse {
    double reads, done_s;  // expert_reads_ up to it
  };
  std::vector<ExpertUse> expert_uses_;
  std::size_t next_use_ = 0;
  bool loaded_ = false;  // the next load's read is on the timeline already
  std::size_t n_loads_ = 0;
  std::vector<double> slot_free_s_;
  std::optional<SimulatedGpu> gpu_;
};

bool uses_gpu(const Plan& plan) {
  return std::any_of(plan.compute.begin(), plan.compute.end(),
                     [](const ComputeEntry& entry) { return entry.processor == Processor::kGpu; });
}

// Of the last step alone, from its start.
void shift_spans(std::vector<WorkSpan>& spans, double start_s) {
  for (WorkSpan& span : spans) {
    span.begin_s -= start_s;
    span.end_s -= start_s;
  }
  std::stable_sort(spans.begin(), spans.end(), [](const WorkSpan& a, const WorkSpan& b) {
    return a.resource != b.resource ? a.resource < b.resource : a.begin_s < b.begin_s;
  });
}

}  // namespace

const char* resource_name(Resource resource) {
  constexpr const char* kNames[kResources] = {"cpu", "gpu", "disk_to_host", "host_to_vram",
                                              "vram_to_host"};
  return kNames[static_cast<int>(resource)];
}

double Prediction::busy_s(Resource resource) const {
  const double busy[kResources] = {cpu_busy_s, gpu_busy_s, disk_busy_s, h2d_busy_s, d2h_busy_s};
  return busy[static_cast<int>(resource)];
}

std::int64_t Prediction::bytes(Resource resource) const {
  const std::int64_t bytes[kResources] = {0, 0, disk_bytes, h2d_bytes, d2h_bytes};
  return bytes[static_cast<int>(resource)];
}

SimulatorOptions simulator_options(const Placement& placement, std::span<const Run> experts,
                                   bool overlap, bool embedding_resident, bool decode) {
  SimulatorOptions options{placement.ring_slots, overlap, embedding_resident};
  options.vram_ring_slots = placement.vram.ring_slots;
  options.staging_slots = placement.vram.staging_slots;
  if (placement.expert_slots == 0) return options;
  options.expert_runs = experts;
  options.expert_read_ahead =
      expert_read_ahead(placement.expert_slots, placement.expert_slot_bytes);
  options.expert_hit_rate = expected_hit_rate(placement, std::ssize(experts), decode);
  return options;
}

Prediction simulate(const Plan& plan, const CostModel& costs, const StepLoad& load,
                    const SimulatorOptions& options) {
  WINDLASS_CHECK(plan.loads.empty() || options.ring_slots >= 1, plan.loads.size(),
                 options.ring_slots);
  WINDLASS_CHECK(plan.vram_loads.empty() || options.vram_ring_slots >= 1, plan.vram_loads.size());
  Timeline timeline(costs, load, options, uses_gpu(plan));
  constexpr int kWarmUpSteps = 2;  // the first fills the ring, the second starts with it full
  Prediction prediction;
  double start_s = 0;
  for (int step = 0; step <= kWarmUpSteps; ++step) {
    prediction = Prediction{};
    start_s = timeline.now();
    timeline.play(plan, prediction);
  }
  prediction.step_s = timeline.now() - start_s;
  prediction.disk_bytes += static_cast<std::int64_t>(prediction.expert_read_bytes);
  shift_spans(prediction.spans, start_s);
  return prediction;
}

}  // namespace windlass

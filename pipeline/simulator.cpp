#include "pipeline/simulator.h"

#include <algorithm>
#include <vector>

#include "pipeline/expert_cache.h"
#include "src/base/check.h"

namespace windlass {
namespace {

// The state that lives across steps: clocks of both resources and when each ring slot becomes free.
class Timeline {
 public:
  Timeline(const CostModel& costs, const StepLoad& load, const SimulatorOptions& options)
      : costs_(costs), load_(load), options_(options) {
    slot_free_s_.assign(static_cast<std::size_t>(std::max<std::int64_t>(options.ring_slots, 1)),
                        0.0);
  }

  double now() const { return cpu_s_; }

  void play(const Plan& plan, Prediction& prediction) {
    std::size_t next_load = 0, next_routed = 0;
    for (std::size_t i = 0; i < plan.compute.size(); ++i) {
      const ComputeEntry& entry = plan.compute[i];
      double ready_s = read_expert(entry, prediction);
      if (next_load < plan.loads.size() &&
          plan.loads[next_load].first_use <= static_cast<std::int32_t>(i)) {
        ready_s = std::max(ready_s, read(plan.loads[next_load], prediction));
      }
      cpu_s_ = std::max({cpu_s_, ready_s, fetch_rows(entry, prediction)});
      const bool link_busy = cpu_s_ < link_full_s_;
      const double compute_s =
          costs_.compute_s(entry, load_) * (link_busy ? costs_.contention() : 1.0);
      cpu_s_ += compute_s;
      prediction.cpu_busy_s += compute_s;
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
  }

 private:
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
};

}  // namespace

SimulatorOptions simulator_options(const Placement& placement, std::span<const Run> experts,
                                   bool overlap, bool embedding_resident, bool decode) {
  SimulatorOptions options{placement.ring_slots, overlap, embedding_resident};
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
  Timeline timeline(costs, load, options);
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
  return prediction;
}

}  // namespace windlass

#include "pipeline/phase_meter.h"

#include <algorithm>

namespace windlass {

void PhaseMeter::add(const StepLoad& load, const Counters& before, const Counters& after) {
  ++sum_.steps;
  sum_.tokens += load.rows;
  sum_.wall_s += after.at_s - before.at_s;
  sum_.disk_to_host.bytes += after.link.bytes - before.link.bytes;
  sum_.disk_to_host.busy_s += after.link.busy_s - before.link.busy_s;
  sum_.cpu_busy_s += after.cpu.cpu_busy_s - before.cpu.cpu_busy_s;
  sum_.threads_busy_s += after.threads_busy_s - before.threads_busy_s;
  sum_.expert_hits += after.experts.hits - before.experts.hits;
  sum_.expert_misses += after.experts.misses - before.experts.misses;
  if (load.rows > 1) {
    batches_.push_back(load);
    return;
  }
  ++single_steps_;
  single_depth_ += load.depth_tokens;
  single_logits_rows_ = std::max(single_logits_rows_, load.logits_rows);
}

PhaseReceipt PhaseMeter::receipt(
    const std::function<StepForecast(const StepLoad&)>& forecast) const {
  PhaseReceipt phase = sum_;
  double predicted_s = 0, bound_s = 0, steps = 0, worst_s = 0;
  for (const Weighted& shape : shapes()) {
    const StepForecast one = forecast(shape.load);
    predicted_s += one.prediction.step_s * shape.steps;
    bound_s += one.bound.step_s * shape.steps;
    steps += shape.steps;
    if (one.bound.step_s * shape.steps <= worst_s) continue;
    worst_s = one.bound.step_s * shape.steps;
    phase.bottleneck = one.bound.bottleneck;
  }
  if (steps == 0) return phase;
  phase.predicted_s_per_step = predicted_s / steps;
  phase.bound_s_per_step = bound_s / steps;
  return phase;
}

std::vector<PhaseMeter::Weighted> PhaseMeter::shapes() const {
  std::vector<Weighted> shapes;
  for (const StepLoad& load : batches_) shapes.push_back({load, 1.0});
  if (single_steps_ > 0) {
    shapes.push_back({{1, single_logits_rows_, single_depth_ / single_steps_},
                      static_cast<double>(single_steps_)});
  }
  return shapes;
}

}  // namespace windlass

#include "pipeline/phase_meter.h"

#include <algorithm>

namespace windlass {
namespace {

void add_use(LinkUse& sum, const LinkUse& before, const LinkUse& after) {
  sum.bytes += after.bytes - before.bytes;
  sum.busy_s += after.busy_s - before.busy_s;
}

}  // namespace

void PhaseMeter::add(const StepLoad& load, const Counters& before, const Counters& after) {
  ++sum_.steps;
  sum_.tokens += load.rows;
  sum_.wall_s += after.at_s - before.at_s;
  sum_.disk_to_host.bytes += after.link.bytes - before.link.bytes;
  sum_.disk_to_host.busy_s += after.link.busy_s - before.link.busy_s;
  add_use(sum_.host_to_vram, before.host_to_vram, after.host_to_vram);
  add_use(sum_.vram_to_host, before.vram_to_host, after.vram_to_host);
  sum_.cpu_busy_s += after.cpu.cpu_busy_s - before.cpu.cpu_busy_s;
  sum_.threads_busy_s += after.threads_busy_s - before.threads_busy_s;
  sum_.expert_hits += after.experts.hits - before.experts.hits;
  sum_.expert_misses += after.experts.misses - before.experts.misses;
  if (load.rows > load.sequences) {
    batches_.push_back(load);
    return;
  }
  auto alike = std::find_if(decodes_.begin(), decodes_.end(),
                            [&](const Alike& one) { return one.load.rows == load.rows; });
  if (alike == decodes_.end()) alike = decodes_.insert(alike, {{load.rows, 0, 0, load.rows}, 0});
  ++alike->steps;
  alike->load.depth_tokens += load.depth_tokens;
  alike->load.logits_rows = std::max(alike->load.logits_rows, load.logits_rows);
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
  for (const Alike& alike : decodes_) {
    StepLoad mean = alike.load;
    mean.depth_tokens /= alike.steps;
    shapes.push_back({mean, static_cast<double>(alike.steps)});
  }
  return shapes;
}

}  // namespace windlass

#include "pipeline/phase_meter.h"

#include <algorithm>

namespace windlass {

void PhaseMeter::add(const StepLoad& load, double wall_s, const LinkStats& link_before,
                     const LinkStats& link_after, const ExecutorStats& cpu_before,
                     const ExecutorStats& cpu_after) {
  ++sum_.steps;
  sum_.tokens += load.rows;
  sum_.wall_s += wall_s;
  sum_.disk_to_host.bytes += link_after.bytes - link_before.bytes;
  sum_.disk_to_host.busy_s += link_after.busy_s - link_before.busy_s;
  sum_.cpu_busy_s += cpu_after.cpu_busy_s - cpu_before.cpu_busy_s;
  if (load.rows > 1) {
    batches_.push_back(load);
    return;
  }
  ++single_steps_;
  single_depth_ += load.depth_tokens;
  single_logits_rows_ = std::max(single_logits_rows_, load.logits_rows);
}

PhaseReceipt PhaseMeter::receipt() const { return sum_; }

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

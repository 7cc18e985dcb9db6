#include "pipeline/planner.h"

#include <algorithm>

namespace windlass {
namespace {

// Bytes that any schedule reads: the budget holds what every step touches, then experts, of which
// it saves the share that is touched.
class TouchedBytes {
 public:
  void add(std::int64_t size_bytes, double share) {
    if (share >= 1) {
      always_ += static_cast<double>(size_bytes);
    } else {
      expected_ += share * static_cast<double>(size_bytes);
      held_ += static_cast<double>(size_bytes);
    }
  }
  std::int64_t beyond(std::int64_t limit_bytes) const {
    const auto limit = static_cast<double>(limit_bytes);
    const double left = std::max(limit - always_, 0.0);
    const double experts = held_ > left ? expected_ * (1 - left / held_) : 0;
    return static_cast<std::int64_t>(std::max(always_ - limit, 0.0) + experts);
  }

 private:
  double always_ = 0, expected_ = 0;
  double held_ = 0;  // of what is touched sometimes
};

}  // namespace

Bound make_bound(const Plan& plan, const BlockTable& blocks, const CostModel& costs,
                 const StepLoad& load, std::int64_t limit_bytes, bool resident) {
  TouchedBytes touched;
  std::int64_t fetched_bytes = 0;
  double cpu_s = 0;
  for (const ComputeEntry& entry : plan.compute) {
    const double share = costs.played_share(entry, load);
    for (std::int32_t i = 0; i < entry.blocks.count; ++i) {
      touched.add(blocks.at(BlockId{index_of(entry.blocks.first) + i}).extent.size_bytes, share);
    }
    fetched_bytes += costs.fetched_bytes(entry, load, resident);
    cpu_s += costs.compute_s(entry, load);
  }
  const double disk_s = costs.read_s(touched.beyond(limit_bytes) + fetched_bytes);
  if (disk_s > cpu_s) return {disk_s, "disk_to_host"};
  return {cpu_s, "cpu"};
}

bool embedding_resident(const LayerGraph& graph, const BlockTable& blocks,
                        const Placement& placement) {
  const std::vector<std::int32_t> run_of = pinned_runs(blocks, placement.pinned);
  for (const GraphOp& op : graph.ops) {
    if (op.kind != OpKind::kEmbedRows) continue;
    const BlockRange range = blocks.of_tensor(op.weight);
    for (std::int32_t i = 0; i < range.count; ++i) {
      if (run_of[static_cast<std::size_t>(index_of(range.first) + i)] < 0) return false;
    }
  }
  return true;
}

}  // namespace windlass

#include "pipeline/expert_runs.h"

namespace windlass {

BlockRange expert_blocks(const GraphOp& op, const BlockTable& blocks, std::int64_t index) {
  if (op.stacked.empty()) return blocks.of_matrix(op.weight, index, op.n_stacked);
  return blocks.of_tensor(op.stacked[static_cast<std::size_t>(index)]);
}

std::vector<Run> expert_runs(const LayerGraph& graph, const BlockTable& blocks) {
  std::vector<Run> runs;
  for (const GraphOp& op : graph.ops) {
    if (!has_experts(op)) continue;
    for (std::int64_t i = 0; i < op.n_stacked; ++i) {
      runs.push_back(make_run(blocks, expert_blocks(op, blocks, i)));
    }
  }
  return runs;
}

}  // namespace windlass

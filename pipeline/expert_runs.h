// The matrices of a model's routed experts as reads: what the expert cache holds and moves.
#pragma once

#include <cstdint>
#include <vector>

#include "src/model/layer_graph.h"
#include "tiers/block.h"

namespace windlass {

// Whether the op's weight is a matrix an expert, of which a step uses those that rows are routed
// to.
inline bool has_experts(const GraphOp& op) { return op.stack == StackKind::kRouted; }

// The blocks of expert `index`'s matrix. REQUIRES has_experts(op).
BlockRange expert_blocks(const GraphOp& op, const BlockTable& blocks, std::int64_t index);

// One run a matrix, in the order in which a step meets them: op by op, expert by expert. Empty for
// a dense model.
std::vector<Run> expert_runs(const LayerGraph& graph, const BlockTable& blocks);

}  // namespace windlass

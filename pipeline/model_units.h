// A model's ops in the groups that are placed as one: between them little moves (the residual), in
// them much (a layer's inner values).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "src/model/layer_graph.h"
#include "tiers/block.h"

namespace windlass {

// Consecutive ops: a layer's attention half or its feed-forward half, what comes before the first
// layer, or the head.
struct ModelUnit {
  std::int32_t first_op = 0, end_op = 0;
  std::int32_t layer = -1;
  std::int32_t attention_op = -1;  // -1: none
  bool on_cpu = false;             // some op of it has to be computed there
};

// Whether the GPU can compute an op. Those that fetch rows or hand out logits, and all that
// concerns experts, are the CPU's in any case, and do not count.
using OnGpu = std::function<bool(const GraphOp&)>;

// In execution order. Units with routed experts are the CPU's, and so are those with ops that
// on_gpu (where given) denies.
std::vector<ModelUnit> model_units(const LayerGraph& graph, const OnGpu& on_gpu);

// The products of a unit whose rows can be shared out, those of one input together: where one of
// them is split, all their results are gathered before the unit goes on.
std::vector<std::vector<std::int32_t>> product_groups(const LayerGraph& graph,
                                                      const TensorTable& tensors,
                                                      const ModelUnit& unit);

// Whether an op stays the CPU's in any unit.
bool cpu_only(const GraphOp& op);
// Whether the rows of the op's weight can be shared out between processors.
bool can_split(const GraphOp& op, const TensorTable& tensors);

// Blocks of the weights that a unit reads wholly, in order of use, each once.
std::vector<BlockId> unit_blocks(const LayerGraph& graph, const BlockTable& blocks,
                                 const ModelUnit& unit);

}  // namespace windlass

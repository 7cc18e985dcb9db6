#include "pipeline/model_units.h"

#include <algorithm>

#include "pipeline/expert_runs.h"

namespace windlass {
namespace {

bool concerns_experts(const GraphOp& op) {
  return has_experts(op) || op.kind == OpKind::kRoute || op.kind == OpKind::kGatherRouted ||
         op.kind == OpKind::kCombineRouted;
}

// The buffer that layers add to: what the embedding writes.
BufferId residual_of(const LayerGraph& graph) {
  for (const GraphOp& op : graph.ops) {
    if (op.kind == OpKind::kEmbedRows) return op.out.buffer;
  }
  return kNoBuffer;
}

bool adds_to(const GraphOp& op, BufferId buffer) {
  return op.out.buffer == buffer &&
         (op.accumulate || op.kind == OpKind::kAdd || op.kind == OpKind::kAddBias);
}

}  // namespace

bool cpu_only(const GraphOp& op) {
  return fetches_rows(op.kind) || op.kind == OpKind::kEmitLogits || concerns_experts(op);
}

bool can_split(const GraphOp& op, const TensorTable& tensors) {
  return op.kind == OpKind::kMatMul && op.stack == StackKind::kNone && !op.transposed &&
         !tensors.at(op.weight).transposed;
}

std::vector<ModelUnit> model_units(const LayerGraph& graph, const OnGpu& on_gpu) {
  const BufferId residual = residual_of(graph);
  std::vector<ModelUnit> units;
  bool attended = false, added = false;  // in the unit at hand
  const auto end = static_cast<std::int32_t>(graph.ops.size());
  for (std::int32_t i = 0; i < end; ++i) {
    const GraphOp& op = graph.ops[static_cast<std::size_t>(i)];
    const bool new_half = attended && added && !adds_to(op, residual);
    const bool fetched = i > 0 && fetches_rows(graph.ops[static_cast<std::size_t>(i) - 1].kind) &&
                         !fetches_rows(op.kind) && op.layer >= 0;
    if (units.empty() || op.layer != units.back().layer || new_half || fetched) {
      units.push_back({i, i, op.layer, -1, false});
      attended = added = false;
    }
    ModelUnit& unit = units.back();
    unit.end_op = i + 1;
    if (op.kind == OpKind::kAttention) {
      unit.attention_op = i;
      attended = true;
    }
    added = attended && (added || adds_to(op, residual));
    const bool denied = on_gpu && !cpu_only(op) && !on_gpu(op);
    if (denied || concerns_experts(op) || fetches_rows(op.kind)) unit.on_cpu = true;
  }
  return units;
}

std::vector<std::vector<std::int32_t>> product_groups(const LayerGraph& graph,
                                                      const TensorTable& tensors,
                                                      const ModelUnit& unit) {
  std::vector<std::vector<std::int32_t>> groups;
  const GraphOp* last = nullptr;
  for (std::int32_t i = unit.first_op; i < unit.end_op; ++i) {
    const GraphOp& op = graph.ops[static_cast<std::size_t>(i)];
    if (!can_split(op, tensors)) continue;
    const bool same_number =
        last != nullptr && last->independent >= 0 && last->independent == op.independent;
    const bool same_input = last != nullptr && last->in.buffer == op.in.buffer &&
                            last->in.column == op.in.column &&
                            &graph.ops[static_cast<std::size_t>(i) - 1] == last;
    if (!same_number && !same_input) groups.emplace_back();
    groups.back().push_back(i);
    last = &op;
  }
  return groups;
}

std::vector<BlockId> unit_blocks(const LayerGraph& graph, const BlockTable& blocks,
                                 const ModelUnit& unit) {
  std::vector<BlockId> used;
  std::vector<TensorId> seen;
  for (std::int32_t i = unit.first_op; i < unit.end_op; ++i) {
    const GraphOp& op = graph.ops[static_cast<std::size_t>(i)];
    if (op.weight == kNoTensor || fetches_rows(op.kind) || has_experts(op)) continue;
    if (std::find(seen.begin(), seen.end(), op.weight) != seen.end()) continue;
    seen.push_back(op.weight);
    const BlockRange range = blocks.of_tensor(op.weight);
    for (std::int32_t b = 0; b < range.count; ++b)
      used.push_back(BlockId{index_of(range.first) + b});
  }
  return used;
}

}  // namespace windlass

#include "pipeline/memory_nodes.h"

#include <algorithm>

namespace windlass {
namespace {

// Items of these products are rows of their weight; of transposed ones, columns.
bool reads_by_rows(const GraphOp& op, const TensorTable& tensors) {
  return op.kind == OpKind::kMatMul && !op.transposed && !tensors.at(op.weight).transposed;
}

// The run of `runs`, which ascend, that holds block `id`; null: none.
const PlacedRun* run_of(const std::vector<PlacedRun>& runs, BlockId id) {
  auto after = std::upper_bound(
      runs.begin(), runs.end(), id,
      [](BlockId block, const PlacedRun& placed) { return block < placed.run.blocks.first; });
  if (after == runs.begin()) return nullptr;
  const BlockRange& blocks = (--after)->run.blocks;
  return index_of(id) < index_of(blocks.first) + blocks.count ? &*after : nullptr;
}

}  // namespace

std::vector<ReadByRows> pinned_by_rows(const SessionPlan& plan, const TensorTable& tensors) {
  std::vector<ReadByRows> ranges;
  for (const ComputeEntry& entry : plan.with_head.compute) {
    if (entry.blocks.count == 0) continue;
    if (!reads_by_rows(plan.graph.ops[static_cast<std::size_t>(entry.op)], tensors)) continue;
    const PlacedRun* placed = run_of(plan.placement().pinned, entry.blocks.first);
    if (placed == nullptr) continue;
    const BlockId last{index_of(entry.blocks.first) + entry.blocks.count - 1};
    const std::int64_t begin = plan.blocks.at(entry.blocks.first).extent.offset_bytes;
    const std::int64_t end = plan.blocks.at(last).extent.end_bytes();
    ranges.push_back(
        {placed->arena_offset_bytes + begin - placed->run.aligned.offset_bytes, end - begin});
  }
  return ranges;
}

void place_on_nodes(const Team& team, const SessionPlan& plan, const TensorTable& tensors,
                    HostMemory& memory) {
  if (team.n_nodes() == 1) return;
  team.interleave(memory.all());
  for (const ReadByRows& range : pinned_by_rows(plan, tensors)) {
    team.place_by_items(
        {memory.pinned() + range.offset_bytes, static_cast<std::size_t>(range.size_bytes)},
        memory.page_bytes());
  }
}

}  // namespace windlass

#include "pipeline/tier_model.h"

#include <algorithm>

#include "pipeline/expert_runs.h"
#include "pipeline/placement.h"

namespace windlass {

ComputeEntry whole_entry(const LayerGraph& graph, const TensorTable& tensors, std::int32_t op) {
  const GraphOp& graph_op = graph.ops[static_cast<std::size_t>(op)];
  ComputeEntry entry;
  entry.op = op;
  if (graph_op.kind == OpKind::kMatMul) entry.n_rows = tensors.at(graph_op.weight).n_rows();
  if (graph_op.in.present() && graph.buffer(graph_op.in.buffer).tiled)
    entry.n_rows = graph.buffer(graph_op.in.buffer).width;
  return entry;
}

TierModel::TierModel(const CostModelParts& parts, const BlockTable& blocks,
                     const std::vector<ModelUnit>& units, const StepLoad& decode,
                     const StepLoad& prefill)
    : parts_(parts), costs_(parts), blocks_(blocks) {
  for (std::size_t i = 0; i < units.size(); ++i) {
    UnitClass own = class_of(units[i], decode, prefill);
    const auto alike = std::find_if(classes_.begin(), classes_.end(), [&](const UnitClass& other) {
      return other.bytes == own.bytes && other.on_cpu == own.on_cpu &&
             other.attends == own.attends && other.decode == own.decode &&
             other.prefill == own.prefill;
    });
    UnitClass& into = alike == classes_.end() ? classes_.emplace_back(std::move(own)) : *alike;
    into.units.push_back(static_cast<std::int32_t>(i));
  }
}

UnitClass TierModel::class_of(const ModelUnit& unit, const StepLoad& decode,
                              const StepLoad& prefill) const {
  UnitClass own;
  own.bytes = held_bytes(unit, false);
  own.split_bytes = held_bytes(unit, true);
  own.attends = unit.attention_op >= 0;
  own.on_cpu = unit.on_cpu;
  own.decode = costs_of(unit, decode);
  own.prefill = costs_of(unit, prefill);
  return own;
}

// In VRAM and in memory a tensor's ends are rounded out to 4 KiB.
double TierModel::held_bytes(const ModelUnit& unit, bool only_split) const {
  double bytes = 0;
  std::vector<TensorId> seen;
  for (std::int32_t i = unit.first_op; i < unit.end_op; ++i) {
    const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(i)];
    if (op.weight == kNoTensor || fetches_rows(op.kind) || has_experts(op)) continue;
    if (only_split && !can_split(op, parts_.tensors)) continue;
    if (std::find(seen.begin(), seen.end(), op.weight) != seen.end()) continue;
    seen.push_back(op.weight);
    const BlockRange range = blocks_.of_tensor(op.weight);
    if (!is_small(blocks_, range.first))
      bytes += static_cast<double>(make_run(blocks_, range).aligned.size_bytes);
  }
  return bytes;
}

UnitCosts TierModel::costs_of(const ModelUnit& unit, const StepLoad& load) const {
  UnitCosts costs;
  for (std::int32_t i = unit.first_op; i < unit.end_op; ++i) {
    const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(i)];
    if (has_experts(op)) continue;  // the CPU's in any plan, and an entry a matrix
    const ComputeEntry entry = whole_entry(parts_.graph, parts_.tensors, i);
    const double cpu_s = costs_.compute_s(entry, load);
    const double gpu_s = cpu_only(op) ? cpu_s : costs_.gpu_s(entry, load);
    if (op.kind == OpKind::kAttention) {
      costs.attention_cpu_s += cpu_s;
      costs.attention_gpu_s += gpu_s;
      costs.kv_read_bytes += costs_.work(entry, load).kv_bytes;
      continue;
    }
    costs.cpu_s += cpu_s;
    costs.gpu_s += gpu_s;
    if (!can_split(op, parts_.tensors)) continue;
    costs.cpu_products_s += cpu_s;
    costs.gpu_products_s += gpu_s;
  }
  add_split_costs(unit, load, costs);
  return costs;
}

// A split product's input goes to the CPU, whose results come back.
void TierModel::add_split_costs(const ModelUnit& unit, const StepLoad& load,
                                UnitCosts& costs) const {
  for (const auto& group : product_groups(parts_.graph, parts_.tensors, unit)) {
    const GraphOp& first = parts_.graph.ops[static_cast<std::size_t>(group.front())];
    const BufferMove input{first.in.buffer, Processor::kCpu, 0, 0, 0};
    costs.split_s += costs_.gpu().d2h_latency_s + costs_.gpu().h2d_latency_s +
                     costs_.d2h_s(costs_.move_bytes(input, load));
    for (const std::int32_t op : group) {
      const GraphOp& product = parts_.graph.ops[static_cast<std::size_t>(op)];
      const std::int64_t columns = parts_.tensors.at(product.weight).n_rows();
      const BufferMove results{product.out.buffer, Processor::kGpu, 0, 0, columns};
      costs.results_s += costs_.h2d_s(costs_.move_bytes(results, load));
    }
  }
}

}  // namespace windlass

#include "pipeline/planner.h"

#include <algorithm>
#include <utility>

#include "pipeline/expert_runs.h"
#include "src/base/check.h"
#include "src/base/units.h"

namespace windlass {
namespace {

// The pinned run that holds each block, counted over `pinned` and then decode_pinned; -1: none.
std::vector<std::int32_t> pinned_runs(const BlockTable& blocks, const Placement& placement,
                                      bool decode) {
  std::vector<std::int32_t> run_of(blocks.blocks().size(), -1);
  std::int32_t run = 0;
  const auto mark = [&](const std::vector<PlacedRun>& placed_runs) {
    for (const PlacedRun& placed : placed_runs) {
      const auto begin = run_of.begin() + index_of(placed.run.blocks.first);
      std::fill(begin, begin + placed.run.blocks.count, run++);
    }
  };
  mark(placement.pinned);
  if (decode) mark(placement.decode_pinned);
  return run_of;
}

// Whether an op reads a tile of logits.
bool on_tile(const LayerGraph& graph, const GraphOp& op) {
  return op.in.present() && graph.buffer(op.in.buffer).tiled;
}

// Writes a plan entry by entry; merges neighbours that lie together in memory.
class PlanWriter {
 public:
  PlanWriter(const LayerGraph& graph, const BlockTable& blocks, const Placement& placement,
             bool decode, Plan& plan)
      : graph_(graph),
        blocks_(blocks),
        slot_bytes_(placement.slot_bytes),
        run_of_(pinned_runs(blocks, placement, decode)),
        plan_(plan) {}

  void add_plain(std::int32_t op) { plan_.compute.push_back({op, {}, 0, 0}); }

  // What depends on it is what comes until the next one.
  void add_route(std::int32_t op) {
    end_routed();
    const GraphOp& graph_op = graph_.ops[static_cast<std::size_t>(op)];
    if (graph_op.weight == kNoTensor) {
      add_plain(op);
    } else {
      add_weighted(op);
    }
    plan_.routed.push_back({static_cast<std::int32_t>(plan_.compute.size()) - 1, 0});
  }
  void end_routed() {
    if (!plan_.routed.empty()) {
      plan_.routed.back().end = static_cast<std::int32_t>(plan_.compute.size());
    }
  }

  // An entry a matrix: pinned with the others, or in the expert cache.
  void add_experts(std::int32_t op) {
    const GraphOp& graph_op = graph_.ops[static_cast<std::size_t>(op)];
    for (std::int32_t matrix = 0; matrix < graph_op.n_stacked; ++matrix) {
      const BlockRange range = expert_blocks(graph_op, blocks_, matrix);
      std::int64_t n_rows = 0;
      for (std::int32_t i = 0; i < range.count; ++i) {
        n_rows += blocks_.at(BlockId{index_of(range.first) + i}).n_rows;
      }
      plan_.compute.push_back({op, range, 0, n_rows, matrix, n_expert_runs_++});
    }
  }

  void add_weighted(std::int32_t op) {
    const bool tiled = is_tiled(op);
    const BlockRange range = blocks_.of_tensor(graph_.ops[static_cast<std::size_t>(op)].weight);
    for (std::int32_t i = 0; i < range.count; ++i) {
      const BlockId id{index_of(range.first) + i};
      const bool new_load = !is_pinned(id) && add_load(id);
      if (i == 0 || tiled || new_load || run_of(id) != run_of(BlockId{index_of(id) - 1})) {
        plan_.compute.push_back({op, {id, 0}, blocks_.at(id).first_row, 0});
      }
      ++plan_.compute.back().blocks.count;
      plan_.compute.back().n_rows += blocks_.at(id).n_rows;
      if (!is_pinned(id)) note_use();
      if (tiled) add_tile_ops(op + 1);
    }
  }

 private:
  std::int32_t run_of(BlockId id) const { return run_of_[static_cast<std::size_t>(index_of(id))]; }
  bool is_pinned(BlockId id) const { return run_of(id) >= 0; }
  bool is_tiled(std::int32_t op) const {
    const View& out = graph_.ops[static_cast<std::size_t>(op)].out;
    return out.present() && graph_.buffer(out.buffer).tiled;
  }

  // What works on the finished columns, the last op being the one that hands them out: before the
  // next block overwrites them.
  void add_tile_ops(std::int32_t op) {
    const ComputeEntry tile = plan_.compute.back();
    const auto end = static_cast<std::int32_t>(graph_.ops.size());
    WINDLASS_CHECK(op < end && on_tile(graph_, graph_.ops[static_cast<std::size_t>(op)]), op);
    for (; op < end && on_tile(graph_, graph_.ops[static_cast<std::size_t>(op)]); ++op) {
      plan_.compute.push_back({op, {}, tile.first_row, tile.n_rows});
    }
  }

  // Extends the last load by a file neighbour while it fits the slot; true if a new load began.
  bool add_load(BlockId id) {
    if (!plan_.loads.empty()) {
      Run& last = plan_.loads.back().run;
      const BlockId end{index_of(last.blocks.first) + last.blocks.count - 1};
      if (adjoins(blocks_, end, id)) {
        const Run longer = make_run(blocks_, {last.blocks.first, last.blocks.count + 1});
        if (longer.aligned.size_bytes <= slot_bytes_) {
          last = longer;
          return false;
        }
      }
    }
    plan_.loads.push_back({make_run(blocks_, {id, 1}), -1, -1});
    return true;
  }

  void note_use() {
    LoadEntry& load = plan_.loads.back();
    load.last_use = static_cast<std::int32_t>(plan_.compute.size()) - 1;
    if (load.first_use < 0) load.first_use = load.last_use;
  }

  const LayerGraph& graph_;
  const BlockTable& blocks_;
  std::int64_t slot_bytes_;
  std::vector<std::int32_t> run_of_;
  Plan& plan_;
  std::int32_t n_expert_runs_ = 0;
};

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

// A region of the team costs a microsecond or two: nothing, beside products of so many bytes.
constexpr std::int64_t kBesideBytes = 4 * kMiB;

void mark_beside_previous(const LayerGraph& graph, const BlockTable& blocks, Plan& plan) {
  std::int32_t number = -1;
  std::int64_t bytes = 0;  // of the entries that one would run beside
  for (ComputeEntry& entry : plan.compute) {
    std::int64_t own = 0;
    for (std::int32_t i = 0; i < entry.blocks.count; ++i) {
      own += blocks.at(BlockId{index_of(entry.blocks.first) + i}).extent.size_bytes;
    }
    const std::int32_t before =
        std::exchange(number, graph.ops[static_cast<std::size_t>(entry.op)].independent);
    entry.beside_previous = number >= 0 && number == before && bytes + own <= kBesideBytes;
    bytes = entry.beside_previous ? bytes + own : own;
  }
}

std::size_t least_entries(const LayerGraph& graph) {
  std::int64_t n = 0;
  for (const GraphOp& op : graph.ops) n += has_experts(op) ? op.n_stacked : 1;
  return static_cast<std::size_t>(n);
}

}  // namespace

Plan make_plan(const LayerGraph& graph, const BlockTable& blocks, const Placement& placement,
               bool with_head, bool decode) {
  Plan plan;
  plan.compute.reserve(least_entries(graph));
  PlanWriter writer(graph, blocks, placement, decode, plan);
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    const GraphOp& op = graph.ops[i];
    if (!with_head && op.rows == RowSet::kLogits) continue;
    if (on_tile(graph, op)) continue;  // written with the tiles that it works on
    const auto index = static_cast<std::int32_t>(i);
    if (op.kind == OpKind::kRoute) {
      writer.add_route(index);
    } else if (has_experts(op)) {
      writer.add_experts(index);
    } else if (op.weight == kNoTensor || fetches_rows(op.kind)) {
      writer.add_plain(index);
    } else {
      writer.add_weighted(index);
    }
  }
  writer.end_routed();
  mark_beside_previous(graph, blocks, plan);
  plan.compute.shrink_to_fit();  // three plans are kept, and count against the budget
  return plan;
}

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
  const std::vector<std::int32_t> run_of = pinned_runs(blocks, placement, false);
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

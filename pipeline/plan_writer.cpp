#include "pipeline/plan_writer.h"

#include <algorithm>
#include <utility>

#include "pipeline/buffer_places.h"
#include "pipeline/expert_runs.h"
#include "src/base/check.h"
#include "src/base/units.h"

namespace windlass {

std::vector<std::int32_t> pinned_runs(const BlockTable& blocks, std::span<const PlacedRun> placed) {
  std::vector<std::int32_t> run_of(blocks.blocks().size(), -1);
  std::int32_t run = 0;
  for (const PlacedRun& each : placed) {
    const auto begin = run_of.begin() + index_of(each.run.blocks.first);
    std::fill(begin, begin + each.run.blocks.count, run++);
  }
  return run_of;
}

namespace {

// The run of the host's memory that holds each block, decode_pinned's counted on; -1: none.
std::vector<std::int32_t> host_runs(const BlockTable& blocks, const Placement& placement,
                                    bool decode) {
  std::vector<PlacedRun> all = placement.pinned;
  if (decode) all.insert(all.end(), placement.decode_pinned.begin(), placement.decode_pinned.end());
  return pinned_runs(blocks, all);
}

// Whether an op reads a tile of logits.
bool on_tile(const LayerGraph& graph, const GraphOp& op) {
  return op.in.present() && graph.buffer(op.in.buffer).tiled;
}

std::size_t least_entries(const LayerGraph& graph) {
  std::int64_t n = 0;
  for (const GraphOp& op : graph.ops) n += has_experts(op) ? op.n_stacked : 1;
  return static_cast<std::size_t>(n);
}

// Whether what it leaves in the columns of `out` depends on what was there: it adds, or leaves out
// columns between its vectors.
bool keeps_out(const LayerGraph& graph, const GraphOp& op) {
  if (!op.out.present()) return false;
  if (op.accumulate || op.kind == OpKind::kAdd || op.kind == OpKind::kAddBias ||
      op.kind == OpKind::kCombineRouted) {
    return true;
  }
  const Columns columns = columns_of(graph, op.out);
  return graph.buffer(op.out.buffer).kind == BufferKind::kF32 &&
         columns.end - columns.first > op.out.vectors * graph.width_of(op.out);
}

class PlanWriter {
 public:
  PlanWriter(const LayerGraph& graph, const BlockTable& blocks, const Placement& placement,
             bool decode)
      : graph_(graph),
        blocks_(blocks),
        sites_(decode ? placement.vram.decode_sites : placement.vram.prefill_sites),
        tile_columns_(placement.vram.tile_columns),
        slot_bytes_{placement.slot_bytes, placement.vram.slot_bytes},
        run_of_{host_runs(blocks, placement, decode), pinned_runs(blocks, placement.vram.pinned)},
        on_gpu_(run_of_[1].size()),
        places_(graph, &plan_.moves) {
    for (std::size_t i = 0; i < on_gpu_.size(); ++i) on_gpu_[i] = run_of_[1][i] >= 0;
    if (decode) {
      for (const BlockId id : placement.vram.decode_streamed)
        on_gpu_[static_cast<std::size_t>(index_of(id))] = true;
    }
    plan_.compute.reserve(least_entries(graph));
  }

  void add(std::int32_t op);
  Plan take();

 private:
  const GraphOp& op_at(std::int32_t op) const { return graph_.ops[static_cast<std::size_t>(op)]; }
  Site site(std::int32_t op) const {
    return sites_.empty() ? Site::kCpu : sites_[static_cast<std::size_t>(op)];
  }
  std::int32_t run_of(Processor of, BlockId id) const {
    return run_of_[static_cast<std::size_t>(of)][static_cast<std::size_t>(index_of(id))];
  }
  bool is_pinned(Processor of, BlockId id) const { return run_of(of, id) >= 0; }
  bool is_tiled(const GraphOp& op) const {
    return op.out.present() && graph_.buffer(op.out.buffer).tiled;
  }
  std::int32_t next_entry() const { return static_cast<std::int32_t>(plan_.compute.size()); }

  void add_plain(std::int32_t op);
  void add_whole(ComputeEntry entry);
  void add_route(std::int32_t op);
  void add_experts(std::int32_t op);
  void add_weighted(std::int32_t op);
  void add_rows(std::int32_t op, Processor on, bool all);
  void add_tile_ops(std::int32_t op, ComputeEntry tile);
  bool begins_entry(const GraphOp& op, Processor on, BlockId id) const;
  bool add_load(Processor to, BlockId id);
  void note_use(Processor on);
  std::vector<LoadEntry>& loads(Processor to) {
    return to == Processor::kGpu ? plan_.vram_loads : plan_.loads;
  }

  Columns read_columns(const View& view, const ComputeEntry& entry) const;
  Columns written_columns(const GraphOp& op, const ComputeEntry& entry) const;
  void note_reads(const ComputeEntry& entry, std::int32_t index);
  void note_writes(const ComputeEntry& entry);

  void end_routed() {
    if (!plan_.routed.empty()) plan_.routed.back().end = next_entry();
  }
  void mark_beside_previous();

  const LayerGraph& graph_;
  const BlockTable& blocks_;
  const std::vector<Site>& sites_;
  std::int64_t tile_columns_;
  std::int64_t slot_bytes_[2];           // by Processor
  std::vector<std::int32_t> run_of_[2];  // by Processor
  std::vector<bool> on_gpu_;             // whose rows of a split product are the GPU's
  Plan plan_;
  BufferPlaces places_;
  std::int32_t n_expert_runs_ = 0;
};

void PlanWriter::add(std::int32_t op) {
  const GraphOp& graph_op = op_at(op);
  if (graph_op.kind == OpKind::kRoute) {
    add_route(op);
  } else if (has_experts(graph_op)) {
    add_experts(op);
  } else if (graph_op.weight == kNoTensor || fetches_rows(graph_op.kind)) {
    add_plain(op);
  } else {
    add_weighted(op);
  }
}

// An op without a weight.
void PlanWriter::add_plain(std::int32_t op) {
  ComputeEntry entry;
  entry.op = op;
  add_whole(entry);
}

// By the one processor of its site, or by both. What both read is there before either writes: an op
// may work in place.
void PlanWriter::add_whole(ComputeEntry entry) {
  const Site at = site(entry.op);
  const std::int32_t first = next_entry();
  for (const Processor on : {Processor::kGpu, Processor::kCpu}) {
    if (at == (on == Processor::kGpu ? Site::kCpu : Site::kGpu)) continue;
    entry.processor = on;
    note_reads(entry, first);
    plan_.compute.push_back(entry);
  }
  if (at != Site::kSplit) return note_writes(entry);
  const GraphOp& graph_op = op_at(entry.op);
  places_.both_wrote(graph_op.out.buffer, columns_of(graph_, graph_op.out));
}

// What depends on it is what comes until the next one.
void PlanWriter::add_route(std::int32_t op) {
  end_routed();
  if (op_at(op).weight == kNoTensor) {
    add_plain(op);
  } else {
    add_weighted(op);
  }
  plan_.routed.push_back({next_entry() - 1, 0});
}

// An entry a matrix: pinned with the others, or in the expert cache.
void PlanWriter::add_experts(std::int32_t op) {
  const GraphOp& graph_op = op_at(op);
  WINDLASS_CHECK(site(op) == Site::kCpu, graph_op.label);
  for (std::int32_t matrix = 0; matrix < graph_op.n_stacked; ++matrix) {
    const BlockRange range = expert_blocks(graph_op, blocks_, matrix);
    std::int64_t n_rows = 0;
    for (std::int32_t i = 0; i < range.count; ++i) {
      n_rows += blocks_.at(BlockId{index_of(range.first) + i}).n_rows;
    }
    ComputeEntry entry;
    entry.op = op;
    entry.blocks = range;
    entry.n_rows = n_rows;
    entry.matrix = matrix;
    entry.expert_run = n_expert_runs_++;
    note_reads(entry, next_entry());
    plan_.compute.push_back(entry);
    note_writes(entry);
  }
}

// The GPU's rows first: it works on them while the CPU works on its own.
void PlanWriter::add_weighted(std::int32_t op) {
  const Site at = site(op);
  const GraphOp& graph_op = op_at(op);
  if (at != Site::kSplit) {
    add_rows(op, at == Site::kGpu ? Processor::kGpu : Processor::kCpu, true);
  } else if (graph_op.kind == OpKind::kMatMul) {
    // The CPU's input leaves before the GPU begins, not when it has ended.
    places_.read(graph_op.in.buffer, columns_of(graph_, graph_op.in), Processor::kCpu,
                 next_entry());
    add_rows(op, Processor::kGpu, false);
    add_rows(op, Processor::kCpu, false);
  } else {  // a vector, which both have
    ComputeEntry entry;
    entry.op = op;
    entry.blocks = blocks_.of_tensor(graph_op.weight);
    entry.n_rows = 1;
    for (const Processor on : {Processor::kGpu, Processor::kCpu})
      WINDLASS_CHECK(entry.blocks.count == 1 && is_pinned(on, entry.blocks.first), graph_op.label);
    add_whole(entry);
  }
}

// Entries for the weight's rows on one processor: all, or those that are its own in a split.
void PlanWriter::add_rows(std::int32_t op, Processor on, bool all) {
  const GraphOp& graph_op = op_at(op);
  const bool tiled = is_tiled(graph_op);
  const BlockRange range = blocks_.of_tensor(graph_op.weight);
  bool open = false;
  const auto close = [&] {
    if (!open) return;
    const ComputeEntry entry = plan_.compute.back();
    note_reads(entry, next_entry() - 1);
    note_writes(entry);
    if (tiled) add_tile_ops(op + 1, entry);
    open = false;
  };
  for (std::int32_t i = 0; i < range.count; ++i) {
    const BlockId id{index_of(range.first) + i};
    if (!all && (on == Processor::kGpu) != on_gpu_[static_cast<std::size_t>(index_of(id))]) {
      close();
      continue;
    }
    const bool pinned = is_pinned(on, id);
    const bool new_load = !pinned && add_load(on, id);
    if (!open || new_load || begins_entry(graph_op, on, id)) {
      close();
      ComputeEntry entry;
      entry.op = op;
      entry.blocks = {id, 0};
      entry.first_row = blocks_.at(id).first_row;
      entry.processor = on;
      plan_.compute.push_back(entry);
      open = true;
    }
    ++plan_.compute.back().blocks.count;
    plan_.compute.back().n_rows += blocks_.at(id).n_rows;
    if (!pinned) note_use(on);
  }
  close();
}

// Whether a block lies elsewhere than the one before it, or the tile is full. REQUIRES an open
// entry that ends with the block before.
bool PlanWriter::begins_entry(const GraphOp& op, Processor on, BlockId id) const {
  if (run_of(on, id) != run_of(on, BlockId{index_of(id) - 1})) return true;
  if (!is_tiled(op)) return false;
  return plan_.compute.back().n_rows + blocks_.at(id).n_rows > tile_columns_;
}

// What works on the finished columns, the last op being the one that hands them out: before the
// next entry overwrites them.
void PlanWriter::add_tile_ops(std::int32_t op, ComputeEntry tile) {
  const auto end = static_cast<std::int32_t>(graph_.ops.size());
  WINDLASS_CHECK(op < end && on_tile(graph_, op_at(op)), op);
  for (; op < end && on_tile(graph_, op_at(op)); ++op) {
    ComputeEntry entry;
    entry.op = op;
    entry.first_row = tile.first_row;
    entry.n_rows = tile.n_rows;
    entry.processor = site(op) == Site::kGpu ? Processor::kGpu : Processor::kCpu;
    note_reads(entry, next_entry());
    plan_.compute.push_back(entry);
    note_writes(entry);
  }
}

// Extends the last load by a file neighbour while it fits the slot; true if a new load began.
bool PlanWriter::add_load(Processor to, BlockId id) {
  const bool in_host = to == Processor::kGpu && is_pinned(Processor::kCpu, id);
  const Tier from = in_host ? Tier::kHost : Tier::kDisk;
  std::vector<LoadEntry>& list = loads(to);
  if (!list.empty() && list.back().from == from) {
    Run& last = list.back().run;
    const BlockId end{index_of(last.blocks.first) + last.blocks.count - 1};
    if (adjoins(blocks_, end, id)) {
      const Run longer = make_run(blocks_, {last.blocks.first, last.blocks.count + 1});
      if (longer.aligned.size_bytes <= slot_bytes_[static_cast<std::size_t>(to)]) {
        last = longer;
        return false;
      }
    }
  }
  list.push_back({make_run(blocks_, {id, 1}), -1, -1, from});
  return true;
}

void PlanWriter::note_use(Processor on) {
  LoadEntry& load = loads(on).back();
  load.last_use = next_entry() - 1;
  if (load.first_use < 0) load.first_use = load.last_use;
}

// Of a tile its own columns, which come first in the buffer.
Columns PlanWriter::read_columns(const View& view, const ComputeEntry& entry) const {
  if (graph_.buffer(view.buffer).tiled) return {0, entry.n_rows};
  return columns_of(graph_, view);
}

// A split product's own, but for a tile, which has those of one entry; all others are written
// before anybody reads them.
Columns PlanWriter::written_columns(const GraphOp& op, const ComputeEntry& entry) const {
  const Columns all = read_columns(op.out, entry);
  if (site(entry.op) != Site::kSplit || op.kind != OpKind::kMatMul || is_tiled(op)) return all;
  return {all.first + entry.first_row, all.first + entry.first_row + entry.n_rows};
}

void PlanWriter::note_reads(const ComputeEntry& entry, std::int32_t index) {
  const GraphOp& op = op_at(entry.op);
  for (const View* view : {&op.in, &op.in2}) {
    if (!view->present()) continue;
    places_.read(view->buffer, read_columns(*view, entry), entry.processor, index);
  }
  if (!keeps_out(graph_, op)) return;
  places_.read(op.out.buffer, written_columns(op, entry), entry.processor, index);
}

void PlanWriter::note_writes(const ComputeEntry& entry) {
  const GraphOp& op = op_at(entry.op);
  if (op.kind == OpKind::kScale) {
    places_.wrote(op.in.buffer, read_columns(op.in, entry), entry.processor);
  } else if (op.out.present()) {
    places_.wrote(op.out.buffer, written_columns(op, entry), entry.processor);
  }
}

// A region of the team costs a microsecond or two: nothing, beside products of so many bytes.
constexpr std::int64_t kBesideBytes = 4 * kMiB;

void PlanWriter::mark_beside_previous() {
  std::int32_t number = -1;
  std::int64_t bytes = 0;  // of the entries that one would run beside
  for (ComputeEntry& entry : plan_.compute) {
    std::int64_t own = 0;
    for (std::int32_t i = 0; i < entry.blocks.count; ++i) {
      own += blocks_.at(BlockId{index_of(entry.blocks.first) + i}).extent.size_bytes;
    }
    const bool on_cpu = entry.processor == Processor::kCpu;
    const std::int32_t before = std::exchange(number, on_cpu ? op_at(entry.op).independent : -1);
    entry.beside_previous = number >= 0 && number == before && bytes + own <= kBesideBytes;
    bytes = entry.beside_previous ? bytes + own : own;
  }
}

Plan PlanWriter::take() {
  end_routed();
  mark_beside_previous();
  plan_.compute.shrink_to_fit();  // three plans are kept, and count against the budget
  return std::move(plan_);
}

}  // namespace

Plan make_plan(const LayerGraph& graph, const BlockTable& blocks, const Placement& placement,
               bool with_head, bool decode) {
  PlanWriter writer(graph, blocks, placement, decode);
  for (std::size_t i = 0; i < graph.ops.size(); ++i) {
    const GraphOp& op = graph.ops[i];
    if (!with_head && op.rows == RowSet::kLogits) continue;
    if (on_tile(graph, op)) continue;  // written with the tiles that it works on
    writer.add(static_cast<std::int32_t>(i));
  }
  return writer.take();
}

}  // namespace windlass

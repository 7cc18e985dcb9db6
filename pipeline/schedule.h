// The Plan: placement and schedule of one kind of step, as data. The planner makes it, the
// simulator times it, the executor plays it; none of them knows what a dense layer is.
#pragma once

#include <cstdint>
#include <vector>

#include "src/model/layer_graph.h"
#include "tiers/arena.h"
#include "tiers/block.h"
#include "tiers/budget.h"

namespace windlass {

// Who computes an entry. Each works through its entries in the plan's order; a processor waits for
// the other where the plan moves a buffer between them.
enum class Processor : std::uint8_t { kCpu, kGpu };

// Where an op of a step is computed. kSplit: the rows of its weight that are in VRAM or stream
// there (VramPlacement::decode_streamed) by the GPU, the others by the CPU, side by side (products
// and their inputs only).
enum class Site : std::uint8_t { kCpu, kGpu, kSplit };

// One op over some rows of its weight. An op on a large tensor is several entries, one per resident
// stretch.
struct ComputeEntry {
  std::int32_t op = 0;  // index into LayerGraph::ops
  BlockRange blocks;  // the weight's blocks it reads, contiguous in memory; count 0: no weight, or
                      // rows fetched singly (kEmbedRows)
  std::int64_t first_row = 0;  // rows of the weight tensor
  std::int64_t n_rows = 0;
  // kRouted: which matrix of the stacked weight; first_row then counts inside it
  std::int32_t matrix = 0;
  // kRouted: that matrix among expert_runs(). No row of the step routed to it: it is not played.
  std::int32_t expert_run = -1;
  // Does not depend on the entry before it, nor on those that one does not depend on: where the
  // weights of all are in memory, they run as one region of the team. Of small products only.
  bool beside_previous = false;
  Processor processor = Processor::kCpu;
};

// One streamed run: a read into the host's ring, or a copy into the ring of VRAM. Its blocks serve
// compute entries [first_use, last_use]; then the slot is free.
struct LoadEntry {
  Run run;
  std::int32_t first_use = 0;
  std::int32_t last_use = 0;
  // Where the run comes from: kDisk, or for VRAM kHost too, where all of it is pinned. On its way
  // from disk to VRAM it passes the host block by block.
  Tier from = Tier::kDisk;
};

// Each processor has activation buffers of its own, alike in layout. Before compute entry `before`
// starts, `to` gets what the step's rows hold in these columns of the other's buffer.
struct BufferMove {
  BufferId buffer = kNoBuffer;
  Processor to = Processor::kGpu;
  std::int32_t before = 0;
  std::int64_t first_column = 0;
  std::int64_t n_columns = 0;  // floats; 0: whole rows, of a buffer of any kind
};

// When compute entry `route` has run, it is known which of the entries up to `end` with an
// expert_run will be played.
struct RoutedStretch {
  std::int32_t route = 0;
  std::int32_t end = 0;
};

// INVARIANT: loads are in deadline order and their [first_use, last_use] are disjoint and
// ascending, so a ring of any number of slots >= 1, filled in order, cannot deadlock. So are
// vram_loads.
struct Plan {
  std::vector<ComputeEntry> compute;
  std::vector<LoadEntry> loads;            // into the host's ring, for entries of the CPU
  std::vector<LoadEntry> vram_loads = {};  // into VRAM's ring, for entries of the GPU
  std::vector<BufferMove> moves = {};      // ascending in `before`
  std::vector<RoutedStretch> routed = {};  // ascending and disjoint
};

struct PlacedRun {
  Run run;
  std::int64_t arena_offset_bytes = 0;
};

// Where bytes live in the arena of VRAM. Pinned runs lie there as they lie in the file, their ends
// rounded out to 4 KiB as on disk.
struct VramPlacement {
  std::vector<PlacedRun> pinned;
  std::int64_t pinned_bytes = 0;
  std::int64_t ring_slots = 0;  // 0: nothing streams to VRAM
  std::int64_t slot_bytes = 0;
  std::int64_t activation_bytes = 0;
  std::int64_t kv_bytes = 0;
  std::int64_t table_bytes = 0;    // page tables and segments, for kernels (gpu_tables.h)
  std::vector<Tier> kv_home = {};  // by layer, kVram or kHost; empty: all kHost
  // By op of the graph; empty: all kCpu. One list for steps of many rows, one for decode steps.
  std::vector<Site> prefill_sites = {}, decode_sites = {};
  // Blocks of split products that the GPU computes in decode steps, streamed, beside those that are
  // pinned.
  std::vector<BlockId> decode_streamed = {};
  std::int64_t tile_columns = 0;  // most columns of logits computed at once; 0: a block's
  // Of the host's memory: what runs pass through on their way from disk, pinned.
  std::int64_t staging_slots = 0, staging_slot_bytes = 0;

  bool in_use() const { return !prefill_sites.empty() || !decode_sites.empty(); }
  std::int64_t total_bytes() const {
    return pinned_bytes + ring_slots * slot_bytes + activation_bytes + kv_bytes + table_bytes;
  }
  std::int64_t staging_bytes() const { return staging_slots * staging_slot_bytes; }
};

// Where bytes live in the host arena: one placement for all plans of a session.
struct Placement {
  std::vector<PlacedRun> pinned;
  std::int64_t pinned_bytes = 0;  // arena bytes of the pinned runs
  // More pinned runs for decode steps, in the activations that such steps leave unused: offsets
  // count from the activations' start. They are dropped before a step of more rows.
  std::vector<PlacedRun> decode_pinned;
  std::int64_t ring_slots = 0;  // 0: everything is pinned, but for what the expert cache holds
  std::int64_t slot_bytes = 0;
  // Matrices of experts that the expert cache holds; 0: the model has none, or all are pinned.
  std::int64_t expert_slots = 0;
  std::int64_t expert_slot_bytes = 0;
  // More slots for decode steps, where decode_pinned would be; it holds dense weights first.
  std::int64_t decode_expert_slots = 0;
  std::int64_t decode_expert_offset_bytes = 0;  // from the activations' start
  std::int64_t staging_bytes = 0;               // rows fetched singly
  std::int64_t activation_bytes = 0;
  std::int64_t kv_bytes = 0;
  std::int64_t table_bytes = 0;  // tokenizer, block table, residency: heap, not arena
  VramPlacement vram = {};
  std::int64_t arena_bytes() const {
    return pinned_bytes + ring_slots * slot_bytes + expert_bytes() + staging_bytes +
           activation_bytes + kv_bytes + vram.staging_bytes();
  }
  std::int64_t expert_bytes() const { return expert_slots * expert_slot_bytes; }
  std::int64_t total_bytes() const { return arena_bytes() + table_bytes; }
};

}  // namespace windlass

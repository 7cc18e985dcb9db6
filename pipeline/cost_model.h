// How long each entry of a plan takes on the machine of a profile. The same figures serve the
// planner's choice, the simulator's timeline, the receipt's prediction and the bound.
#pragma once

#include <cstdint>

#include "pipeline/profile.h"
#include "pipeline/schedule.h"
#include "src/model/layer_graph.h"
#include "src/ops/op_table.h"

namespace windlass {

struct CostModelParts {
  const TensorTable& tensors;
  const ModelSpec& spec;
  const LayerGraph& graph;
  const Profile& profile;
  KvTypes kv_types;
};

// What a step does besides its Plan: how many rows, over how much cached context.
struct StepLoad {
  std::int64_t rows = 1;
  std::int64_t logits_rows = 1;
  std::int64_t depth_tokens = 0;  // tokens that each sequence has cached before the step
  std::int64_t sequences = 1;     // that the rows are of, as many each
};

// What an op has to move through memory and to compute, whatever the machine: the roofline's axes.
struct OpWork {
  double weight_bytes = 0, kv_bytes = 0;
  double int8_ops = 0;  // multiplications and additions of products with 8-bit activations
  double f32_ops = 0;   // of all other products, attention's among them
  double bytes() const { return weight_bytes + kv_bytes; }
  double ops() const { return int8_ops + f32_ops; }
  OpWork& operator+=(const OpWork& other);
};

class CostModel {
 public:
  explicit CostModel(const CostModelParts& parts);
  // How likely a step plays the entry: 1, or for a matrix of an expert, rows being routed evenly,
  // 1 - (1 - k/E)^rows.
  double played_share(const ComputeEntry& entry, const StepLoad& load) const;
  // Expected CPU seconds of one entry, its weights being in host memory: those of playing it times
  // played_share.
  double compute_s(const ComputeEntry& entry, const StepLoad& load) const;
  // What the entry moves and computes, experts as expected: products and attention; other ops touch
  // what is in cache.
  OpWork work(const ComputeEntry& entry, const StepLoad& load) const;
  // Seconds of one entry on the GPU, its weights and keys being in VRAM: products take the longer
  // of their weights' bytes and their operations. REQUIRES a profile with a GPU, no experts.
  double gpu_s(const ComputeEntry& entry, const StepLoad& load) const;
  // By how much an entry of the CPU takes longer while bytes arrive, since all live from the same
  // DRAM. Each byte from disk takes its bandwidth twice, as it is written and as it is read again,
  // and ops are slowed in proportion. A byte that is copied to or from VRAM takes it once; an op
  // that has to read more than copies leave is slowed to that.
  double slowdown(const ComputeEntry& entry, const StepLoad& load, bool disk_busy,
                  double copied_bytes_per_s) const;
  // Bytes that a move copies.
  std::int64_t move_bytes(const BufferMove& move, const StepLoad& load) const;
  // Seconds that a copy occupies its link.
  double h2d_s(std::int64_t size_bytes) const;
  double d2h_s(std::int64_t size_bytes) const;
  const Profile& profile() const { return parts_.profile; }
  const GpuProfile& gpu() const { return *parts_.profile.gpu; }
  // Seconds that a read of this size occupies the disk link.
  double read_s(std::int64_t size_bytes) const;
  double read_latency_s() const { return parts_.profile.disk_latency_s; }
  double small_read_s() const { return parts_.profile.disk_small_read_s; }
  // Bytes read for rows fetched singly by this entry (0 for ops that fetch none), rounded out to
  // pages. embedding_resident: those of the token embedding come from memory.
  std::int64_t fetched_bytes(const ComputeEntry& entry, const StepLoad& load,
                             bool embedding_resident) const;

 private:
  std::int64_t rows_of(RowSet rows, const StepLoad& load) const;
  double elementwise_bytes(const GraphOp& op, const ComputeEntry& entry,
                           const StepLoad& load) const;
  double experts_s(const GraphOp& op, const ComputeEntry& entry, const StepLoad& load) const;
  double mat_mul_s(const GraphOp& op, const ComputeEntry& entry, std::int64_t rows) const;
  OpWork attention_work(const GraphOp& op, const StepLoad& load) const;
  CostModelParts parts_;
  std::int64_t n_chosen_ = 1;  // experts that a row goes to
};

}  // namespace windlass

// Binds one graph op to pointers and runs it on the team: the step's rows, the weight's bytes, the
// buffers' places become a POD of src/ops/op_args.h. It knows ops, not models.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu_kernels/op_table.h"
#include "pipeline/activations.h"
#include "pipeline/rope_table.h"
#include "pipeline/schedule.h"
#include "pipeline/step.h"
#include "tiers/tier_manager.h"

namespace windlass {

struct OpRunnerParts {
  const TensorTable& tensors;
  const ModelSpec& spec;
  const LayerGraph& graph;
  const ActivationLayout& layout;
  const ActivationLayout&
      decode_layout;  // for steps of so few rows; what lies past it stays untouched
  const RopeTable& rope;
  const RopeTable& window_rope;  // read where spec.window_rope says that there is one
  TierManager& tiers;
  const OpTable& ops;
  Team& team;
  std::byte* activations;        // layout.size_bytes
  std::span<std::byte> staging;  // rows fetched singly
  bool exact = false;            // attention takes queries as they are
};

// An entry whose weights are in memory: `weights` is the first byte of entry.first_row of the op's
// weight; null for ops without one.
struct ReadyEntry {
  const ComputeEntry* entry;
  const std::byte* weights;
};

// Owner-thread. Allocates only in the constructor.
class OpRunner {
 public:
  explicit OpRunner(const OpRunnerParts& parts);
  // Positions and RoPE angles of the step's rows. REQUIRES rows and logits rows within the layout.
  void begin_step(const StepInput& step);
  // Runs one entry, or products that are beside each other (ComputeEntry::beside_previous) in one
  // region of the team. REQUIRES 1 to Team::kMostJobs entries.
  void run(std::span<const ReadyEntry> entries, const StepInput& step);
  // Rows that the step's last kRoute gave to an expert. REQUIRES that there was one.
  std::int64_t routed_rows(std::int32_t expert) const;

 private:
  void run_alone(const ComputeEntry& entry, const std::byte* weights, const StepInput& step);
  // op_runner.cpp: what moves rows.
  void fill_angles(const RopeTable& table, std::int64_t offset, std::int64_t row,
                   std::int64_t position);
  void embed_rows(const GraphOp& op, const StepInput& step);
  void embed_positions(const GraphOp& op);
  void fetch(const GraphOp& op, std::span<const std::int32_t> rows, float* out);
  void select_rows(const GraphOp& op, const StepInput& step);
  void emit_logits(const GraphOp& op, const ComputeEntry& entry, const StepInput& step);
  // op_runner_math.cpp: what computes.
  void norm(const GraphOp& op, const std::byte* weights);
  void quantize_rows(const GraphOp& op);
  void mat_muls(std::span<const ReadyEntry> entries);
  using MatMulFunction = void (*)(const MatMulArgs&, WorkRange);
  MatMulFunction mat_mul_function(const GraphOp& op) const;
  MatMulArgs mat_mul_args(const GraphOp& op, const ComputeEntry& entry,
                          const std::byte* weights) const;
  // Into their place in the whole product; of the rows routed to the entry's expert, of which there
  // may be none.
  MatMulArgs placed_args(const GraphOp& op, const ComputeEntry& entry,
                         const std::byte* weights) const;
  MatMulTransposedArgs mat_mul_transposed_args(const GraphOp& op, const ComputeEntry& entry,
                                               const std::byte* weights) const;
  void mat_mul_transposed(const GraphOp& op, const ComputeEntry& entry, const std::byte* weights);
  void add(const GraphOp& op, const std::byte* weights);
  void rope(const GraphOp& op);
  void activate(const GraphOp& op);
  void scale(const GraphOp& op, const ComputeEntry& entry);

  // op_runner_attention.cpp: what reads and writes the KV cache.
  void kv_append(const GraphOp& op, const StepInput& step);
  void attention(const GraphOp& op, const StepInput& step);
  // Of the sequence whose rows begin with `row`, but for its keys and values.
  AttentionArgs attention_args(const GraphOp& op, const Span& span, std::int64_t row) const;

  // op_runner_stacked.cpp: experts, and products by vector.
  void route(const GraphOp& op, const std::byte* weights);
  void group_by_expert();
  void gather_routed(const GraphOp& op);
  void combine_routed(const GraphOp& op);
  void mat_mul_by_vector(const GraphOp& op, const ComputeEntry& entry, const std::byte* weights);
  void mat_mul_transposed_by_vector(const GraphOp& op, const ComputeEntry& entry,
                                    const std::byte* weights);
  // Routed rows [begin, end) of an expert.
  WorkRange rows_of_expert(std::int32_t expert) const;
  template <typename T>
  T* table(std::int64_t offset) const {
    return reinterpret_cast<T*>(parts_.activations + offset);
  }

  std::byte* bytes(BufferId id) const;
  // First element of the view in row 0, floats between rows, and the view as kernels take it.
  float* floats(const View& view) const;
  std::int64_t stride(const View& view) const;
  Vectors vectors(const View& view, std::int64_t first_row = 0) const;
  // Where the step's rows lie in a kQ8 buffer.
  Q8Layout q8_layout(BufferId id) const;
  // A weight of one row as floats, widened where the file has another type.
  const float* row_of_floats(const GraphOp& op, const std::byte* weights);
  std::int32_t* positions() const;
  std::int64_t rows_of(const GraphOp& op) const {
    return op.rows == RowSet::kLogits   ? logits_rows_
           : op.rows == RowSet::kRouted ? rows_ * parts_.spec.experts.n_used
                                        : rows_;
  }

  OpRunnerParts parts_;
  const ActivationLayout* layout_;  // of the step
  std::int64_t rows_ = 0, logits_rows_ = 0;
  std::vector<const std::byte*> row_pointers_;  // of rows that fit the staging area at once
  std::vector<std::int32_t> position_rows_;     // [as many]: rows of the position table
};

}  // namespace windlass

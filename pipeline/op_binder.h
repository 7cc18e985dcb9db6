// Binds graph ops to pointers: the step's rows, the weight's bytes and the buffers' places become a
// POD of src/ops/op_args.h, which the backend's kernel takes. It knows ops, not models; the same
// for CPU and GPU, whose memory alone differs.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "pipeline/activations.h"
#include "pipeline/backend.h"
#include "pipeline/rope_table.h"
#include "pipeline/schedule.h"
#include "pipeline/step.h"

namespace windlass {

// An entry whose weights are in memory: `weights` is the first byte of entry.first_row of the op's
// weight; null for ops without one.
struct ReadyEntry {
  const ComputeEntry* entry;
  const std::byte* weights;
};

struct OpBinderParts {
  const TensorTable& tensors;
  const ModelSpec& spec;
  const LayerGraph& graph;
  const ActivationLayout& layout;
  const ActivationLayout&
      decode_layout;  // for steps of so few rows; what lies past it stays untouched
  const RopeTable& rope;
  const RopeTable& window_rope;  // read where spec.window_rope says that there is one
  std::byte* activations;        // layout.size_bytes, of the backend's memory
  bool exact = false;            // attention takes queries as they are
};

// Owner-thread. Allocates nothing.
template <typename Backend>
class OpBinder {
 public:
  OpBinder(const OpBinderParts& parts, const Backend& backend)
      : parts_(parts), backend_(backend), layout_(&parts.layout) {}
  OpBinder(const OpBinder&) = delete;
  OpBinder& operator=(const OpBinder&) = delete;

  // REQUIRES rows and logits rows within the layout.
  void begin_step(const StepInput& step);
  const ActivationLayout& layout() const { return *layout_; }  // of the step
  std::int64_t rows() const { return rows_; }
  std::int64_t logits_rows() const { return logits_rows_; }

  // Whether run() has the op: all but those that only a host can do.
  static bool has(const GraphOp& op);
  // Runs one entry. REQUIRES has().
  void run(const ReadyEntry& ready, const StepInput& step);
  // Products that do not depend on each other. REQUIRES 1 to Team::kMostJobs of them.
  void mat_muls(std::span<const ReadyEntry> entries);

  std::byte* bytes(BufferId id) const;
  // First element of the view in row 0, floats between rows, and the view as kernels take it.
  float* floats(const View& view) const;
  std::int64_t stride(const View& view) const;
  Vectors vectors(const View& view, std::int64_t first_row = 0) const;
  // The step's rows of a buffer, and the bytes that they take from bytes() on, side by side.
  std::int64_t rows_in(BufferId id) const;
  std::int64_t step_bytes(BufferId id) const {
    return rows_in(id) * layout_->row_strides[static_cast<std::size_t>(index_of(id))];
  }
  // Those that an entry reads or writes; kNoBuffer in places that it does not need.
  std::array<BufferId, 3> buffers_of(const ComputeEntry& entry) const {
    const GraphOp& op = parts_.graph.ops[static_cast<std::size_t>(entry.op)];
    return {op.in.buffer, op.in2.buffer, op.out.buffer};
  }
  // What is known of the rows before the step starts: layout().known_bytes().
  const std::byte* known() const { return parts_.activations + layout_->known_offset(); }

 protected:
  template <typename T>
  T* table(std::int64_t offset) const {
    return reinterpret_cast<T*>(parts_.activations + offset);
  }
  std::int32_t* positions() const { return table<std::int32_t>(layout_->positions_offset); }
  std::int64_t rows_in(RowSet set) const {
    return set == RowSet::kLogits   ? logits_rows_
           : set == RowSet::kRouted ? rows_ * parts_.spec.experts.n_used
                                    : rows_;
  }
  std::int64_t rows_of(const GraphOp& op) const { return rows_in(op.rows); }
  // Where the step's rows lie in a kQ8 buffer.
  Q8Layout q8_layout(BufferId id) const;
  // A weight of one row as floats, widened where the file has another type.
  const float* row_of_floats(const GraphOp& op, const std::byte* weights);

  using MatMulFunction = void (*)(const MatMulArgs&, typename Backend::Where);
  MatMulFunction mat_mul_function(const GraphOp& op) const;
  // Of the entry's rows, whatever matrix they are of.
  MatMulArgs mat_mul_args(const GraphOp& op, const ComputeEntry& entry,
                          const std::byte* weights) const;
  MatMulTransposedArgs mat_mul_transposed_args(const GraphOp& op, const ComputeEntry& entry,
                                               const std::byte* weights) const;
  // Routed rows [begin, end) of an expert.
  WorkRange rows_of_expert(std::int32_t expert) const;

  void gather(const GraphOp& op, std::int64_t sources_offset);

  OpBinderParts parts_;
  Backend backend_;

 private:
  void norm(const GraphOp& op, const std::byte* weights);
  void quantize_rows(const GraphOp& op);
  void mat_mul_transposed(const GraphOp& op, const ComputeEntry& entry, const std::byte* weights);
  void add(const GraphOp& op, const std::byte* weights);
  void rope(const GraphOp& op);
  void activate(const GraphOp& op);
  void scale(const GraphOp& op, const ComputeEntry& entry);
  // The spans' ops run side by side: of a token after a few others each takes little more than a
  // region of the team costs.
  void kv_append(const GraphOp& op, const StepInput& step);
  void attention(const GraphOp& op, const StepInput& step);
  // Into their place in the whole product; of the rows routed to the entry's expert, of which there
  // may be none.
  MatMulArgs placed_args(const GraphOp& op, const ComputeEntry& entry,
                         const std::byte* weights) const;
  // Of the sequence whose rows begin with `row`, but for its keys and values.
  AttentionArgs attention_args(const GraphOp& op, const Span& span, std::int64_t row) const;

  const ActivationLayout* layout_;  // of the step
  std::int64_t rows_ = 0, logits_rows_ = 0;
};

extern template class OpBinder<CpuBackend>;
extern template class OpBinder<GpuBackend>;

}  // namespace windlass

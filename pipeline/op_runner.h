// Runs graph ops on the CPU: what op_binder.h binds, on the team of threads, and the ops that only
// a host can do: rows fetched from the file, routing, products of experts, handing out logits.
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/op_binder.h"
#include "tiers/tier_manager.h"

namespace windlass {

struct OpRunnerParts {
  OpBinderParts binder;
  CpuBackend backend;
  TierManager& tiers;
  std::span<std::byte> staging;  // rows fetched singly
};

// Owner-thread. Allocates only in the constructor.
class OpRunner : private OpBinder<CpuBackend> {
 public:
  explicit OpRunner(const OpRunnerParts& parts);
  // Positions and RoPE angles of the step's rows, and which of them want logits. REQUIRES rows and
  // logits rows within the layout.
  void begin_step(const StepInput& step);
  // Runs one entry, or products that are beside each other (ComputeEntry::beside_previous) in one
  // region of the team. REQUIRES 1 to Team::kMostJobs entries.
  void run(std::span<const ReadyEntry> entries, const StepInput& step);
  // Rows that the step's last kRoute gave to an expert. REQUIRES that there was one.
  std::int64_t routed_rows(std::int32_t expert) const;
  using OpBinder::buffers_of;
  // What another processor needs of the step's rows.
  const OpBinder<CpuBackend>& binder() const { return *this; }

 private:
  void run_on_host(const GraphOp& op, const ReadyEntry& ready, const StepInput& step);
  // op_runner.cpp: what moves rows.
  void fill_angles(const RopeTable& angles, std::int64_t offset, std::int64_t row,
                   std::int64_t position);
  void embed_rows(const GraphOp& op, const StepInput& step);
  void embed_positions(const GraphOp& op);
  void fetch(const GraphOp& op, std::span<const std::int32_t> rows, float* out);
  void emit_logits(const GraphOp& op, const ComputeEntry& entry, const StepInput& step);
  // op_runner_stacked.cpp: experts, and products by vector.
  void route(const GraphOp& op, const std::byte* weights);
  void group_by_expert();
  void combine_routed(const GraphOp& op);
  void mat_mul_by_vector(const GraphOp& op, const ComputeEntry& entry, const std::byte* weights);
  void mat_mul_transposed_by_vector(const GraphOp& op, const ComputeEntry& entry,
                                    const std::byte* weights);

  TierManager& tiers_;
  std::span<std::byte> staging_;
  std::vector<const std::byte*> row_pointers_;  // of rows that fit the staging area at once
  std::vector<std::int32_t> position_rows_;     // [as many]: rows of the position table
};

}  // namespace windlass

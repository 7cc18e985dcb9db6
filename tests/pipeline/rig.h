// The parts under the engine, put together by hand: so that a test can play its own plans, with its
// own disk.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "pipeline/executor.h"
#include "tests/support/fault_io_engine.h"
#include "tests/tiers/model_fixture.h"

namespace windlass::test {

struct RigModel {
  const TensorTable& tensors;
  const ModelSpec& spec;
  const LayerGraph& graph;
  const BlockTable& blocks;
};

struct RigOptions {
  Placement placement;  // pinned runs, ring and expert cache
  std::int64_t token_rows = 8, logits_rows = 8, tile_columns = 1024;
  bool overlap = true;
  int threads = 2;
  FaultPlan faults;
};

// Scalar kernels. The pinned runs are loaded by the constructor.
class Rig {
 public:
  Rig(const RigModel& model, const RigOptions& options);
  // Plays one step; returns logits [wanted rows, n_columns].
  std::vector<float> play(const Plan& plan, std::span<const Span> spans, std::int64_t n_columns,
                          const Plan* next = nullptr);

 private:
  ActivationLayout layout_;
  AlignedMemory memory_;  // pinned runs, ring, expert cache
  AlignedMemory activations_, staging_;
  DiskStore store_;
  std::vector<Run> expert_runs_;

 public:
  FaultIoEngine io;
  TierManager tiers;

 private:
  Team team_;
  RopeTable rope_;
  OpRunner runner_;

 public:
  Ring ring;
  ExpertCache experts;
  Executor executor;
};

// A sequence's KV in memory of its own.
struct Sequence {
  Sequence(const ModelSpec& spec, std::int64_t context_tokens)
      : budget(Tier::kHost, kGiB),
        arena(shape_of(spec).size_bytes(context_tokens)),
        kv(shape_of(spec), context_tokens, arena, budget) {}
  static KvShape shape_of(const ModelSpec& spec) {
    return {spec.n_layers,
            spec.n_kv_heads,
            spec.head_dim,
            spec.value_dim,
            {KvType::kF32, KvType::kF32},
            spec.latent.has_value()};
  }
  // The next tokens as a span; the last logits_rows of them want logits.
  Span span(std::span<const std::int32_t> ids, std::int64_t logits_rows) {
    kv.reserve(std::ssize(ids));
    return {&kv, ids, kv.committed_tokens(), logits_rows};
  }

  Budget budget;
  Arena arena;
  KvPages kv;
};

}  // namespace windlass::test

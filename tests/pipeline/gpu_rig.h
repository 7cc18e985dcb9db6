// The parts under the engine with a simulated GPU beside them, put together by hand: so that a test
// can play any placement.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "pipeline/executor.h"
#include "pipeline/gpu_part.h"
#include "tests/pipeline/rig.h"
#include "tests/support/simulated_gpu.h"

namespace windlass::test {

struct GpuRigOptions {
  Placement placement;
  std::int64_t token_rows = 8, logits_rows = 8, context_tokens = 256;
  std::int64_t n_sequences = 1;
  bool overlap = true;
  FaultPlan faults;
  Isa isa = Isa::kScalar;
};

// f32 KV. All weights that stay are loaded by the constructor.
class GpuRig {
 public:
  GpuRig(const RigModel& model, const GpuRigOptions& options, SimulatedGpu& gpu);
  // Plays one step of the next tokens of sequences 0, 1, ..; returns logits [wanted rows, n_vocab]
  // of the last token of each.
  std::vector<float> play(const Plan& plan, const std::vector<std::vector<std::int32_t>>& ids,
                          const Plan* next = nullptr);

 private:
  std::int64_t n_vocab_;
  ActivationLayout layout_;
  AlignedMemory pinned_, ring_, activations_, staging_, vram_staging_;
  DiskStore store_;

 public:
  FaultIoEngine io;
  TierManager tiers;
  VramMemory vram;
  AlignedMemory kv_memory;  // of all layers, whichever are used
  std::vector<KvPages> sequences;

 private:
  Team team_;
  RopeTable rope_;
  OpRunner runner_;
  Ring ring_loads_;
  ExpertCache experts_;

 public:
  GpuPart gpu;
  Executor executor;
};

}  // namespace windlass::test

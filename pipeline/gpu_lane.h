// The GPU's part of a step: its entries and the moves of buffers, put on one stream in the plan's
// order; the weights that stream to it; and what the CPU has to wait for. The host thread goes on
// at once, as far ahead as it needs nothing back.
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/gpu_tables.h"
#include "pipeline/op_runner.h"
#include "pipeline/receipt.h"
#include "pipeline/ring.h"
#include "pipeline/schedule.h"
#include "src/device/device.h"
#include "tiers/vram_tier.h"

namespace windlass {

struct GpuLaneParts {
  Device& device;
  Stream compute;
  VramTier& tier;
  GpuTables& tables;
  const DeviceOpTable& ops;
  OpBinderParts binder;  // of activations in VRAM
  // The host's binder, whose activations are pinned memory of the device.
  const OpBinder<CpuBackend>& host;
  std::byte* ring_memory;  // ring_slots * slot_bytes of VRAM
  std::int64_t ring_slots, slot_bytes;
};

// Owner-thread. Allocates only in the constructor. Error(kDevice) from any call: the device failed.
class GpuLane {
 public:
  explicit GpuLane(const GpuLaneParts& parts);

  // Waits until the host may write what is known of a step's rows before it starts.
  void wait_for_known();
  // REQUIRES that the host has begun the step.
  void begin_step(const Plan& plan, const Plan* next, const StepInput& step, bool overlap);
  // To the GPU: put on the stream. To the CPU: that too; wait_for_buffer() before it is read.
  void move(const BufferMove& move);
  // Puts the entry on the stream; waits until its weights are on their way.
  void run(const ComputeEntry& entry, const StepInput& step);
  // Waits until the host may read and write its copy of the buffer.
  void wait_for_buffer(BufferId buffer);
  // All entries up to `last` have run or are on the stream: slots are filled for what comes next.
  void let_go(std::int32_t last, bool overlap);
  // Waits for the device and drops what was loaded ahead.
  void give_up();

  // Weights and buffers; busy_s is of weights to VRAM, and of buffers to the host.
  LinkUse host_to_vram() const;
  LinkUse vram_to_host() const { return to_host_; }
  double wait_s() const { return wait_s_; }  // of the host, for the GPU

 private:
  // The last copy of a buffer that the host has not seen the end of.
  struct Copy {
    Event begun, done;
    bool pending = false, to_host = false;
  };
  void copy(const BufferMove& move, std::int64_t offset_bytes, std::int64_t size_bytes);
  void wait(Event event);

  GpuLaneParts parts_;
  OpBinder<GpuBackend> binder_;
  Ring ring_;
  std::vector<Copy> copies_;  // by BufferId
  Event known_sent_;
  std::int64_t moved_to_vram_bytes_ = 0;
  LinkUse to_host_;
  double wait_s_ = 0;
};

}  // namespace windlass

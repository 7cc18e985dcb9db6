// What kernels of the GPU read besides buffers and weights: page tables of the KV cache, and the
// segments that a step's rows attend to.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pipeline/step.h"
#include "src/device/device.h"
#include "src/ops/op_args.h"
#include "tiers/kv_pages.h"

namespace windlass {

// Bytes of VRAM for all sequences, whatever the step.
std::int64_t gpu_table_bytes(const KvShape& shape, std::int64_t context_tokens,
                             std::int64_t n_sequences);

// Owner-thread. Allocates only in the constructor.
class GpuTables {
 public:
  // The tables of all sequences go to `vram` (gpu_table_bytes()) now; their pages do not move
  // afterwards. Error(kNoSpace) where the system refuses the pinned memory that they come from.
  GpuTables(Device& device, Stream stream, std::byte* vram, std::span<const KvPages> sequences);

  // Puts the segments of the step's spans on the stream. Waits for the last step's to be there.
  // REQUIRES that the spans are of the sequences.
  void begin_step(const StepInput& step);
  // Addresses of the device. REQUIRES span < the step's spans.
  std::byte* const* pages(std::size_t span, std::int64_t layer) const;
  const KvSegment* segment(std::size_t span, std::int64_t layer) const;

 private:
  std::int64_t table_of(std::int64_t sequence, std::int64_t layer) const;

  Device& device_;
  Stream stream_;
  std::span<const KvPages> sequences_;
  std::int64_t n_layers_ = 0, pages_per_layer_ = 0;
  PinnedMemory host_;  // segments, then page tables, as they lie in VRAM
  std::byte* vram_;
  Event sent_;
  std::vector<std::int64_t> sequence_of_;  // by span of the step
};

}  // namespace windlass

// What kernels of the GPU read besides buffers and weights: page tables of the KV cache and the
// segments that a step's rows attend to.
#pragma once

#include <cstdint>

#include "tiers/kv_pages.h"

namespace windlass {

// Bytes of VRAM for all sequences, whatever the step.
std::int64_t gpu_table_bytes(const KvShape& shape, std::int64_t context_tokens,
                             std::int64_t n_sequences);

}  // namespace windlass

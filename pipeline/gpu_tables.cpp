#include "pipeline/gpu_tables.h"

#include "src/base/units.h"
#include "src/device/device.h"
#include "src/ops/op_args.h"

namespace windlass {

std::int64_t gpu_table_bytes(const KvShape& shape, std::int64_t context_tokens,
                             std::int64_t n_sequences) {
  constexpr std::int64_t kPointer = sizeof(std::byte*), kSegment = sizeof(KvSegment);
  const std::int64_t pages = (context_tokens + kKvPageTokens - 1) / kKvPageTokens;
  return align_up(n_sequences * shape.n_layers * (pages * kPointer + kSegment),
                  DeviceArena::kAlignment);
}

}  // namespace windlass

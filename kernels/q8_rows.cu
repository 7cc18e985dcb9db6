// f32 rows to q8 rows: a warp for each block of 32 values, a value a lane.
#include "kernels/device_words.h"
#include "kernels/families.h"
#include "kernels/q8_code.h"

namespace windlass {
namespace {

constexpr int kWarps = 4;  // of a CUDA block
static_assert(kQ8Block == kWarpLanes);

// Sum over the lane's half of the warp.
__device__ int half_sum(int value) {
  for (int mask = 8; mask > 0; mask /= 2) value += __shfl_xor_sync(kAllLanes, value, mask);
  return value;
}

__global__ void quantize_kernel(QuantizeRowsArgs args, std::int64_t first_row,
                                std::int64_t blocks) {
  const std::int64_t warps = (blocks + kWarps - 1) / kWarps;  // CUDA blocks for a row
  const std::int64_t row = first_row + blockIdx.x / warps;
  const std::int64_t b = blockIdx.x % warps * kWarps + threadIdx.x / kWarpLanes;
  if (b >= blocks) return;
  const int lane = static_cast<int>(threadIdx.x % kWarpLanes);
  const std::int64_t column = b * kQ8Block + lane;
  float scale;
  const int code =
      q8_code(column < args.width ? args.in[row * args.in_stride + column] : 0.0f, &scale);
  const int mine = half_sum(code), other = __shfl_xor_sync(kAllLanes, mine, 16);
  auto* block = reinterpret_cast<Q8Block*>(args.out + row * args.layout.row_bytes +
                                           b * args.layout.block_bytes);
  block->values[lane] = static_cast<std::int8_t>(code);
  if (lane % 16 == 0) {
    block->half_sums[lane / 16] = scale * static_cast<float>(mine);
    block->half_starts[lane / 16] = kQ8Magic - 128 * mine;
  }
  if (lane == 0) {
    block->scale = scale;
    block->scale_sum = scale * static_cast<float>(mine + other);
    block->start = kQ8Magic - 128 * (mine + other);
    block->unused = 0;
  }
}

void quantize_rows(const QuantizeRowsArgs& args, DeviceRange rows) {
  QuantizeRowsArgs full = args;
  if (full.in_stride == 0) full.in_stride = args.width;
  if (full.layout.row_bytes == 0) full.layout = q8_rows(args.width);
  const std::int64_t blocks = q8_blocks(args.width);
  launch((rows.end - rows.begin) * ((blocks + kWarps - 1) / kWarps), kWarps * kWarpLanes, 0,
         rows.stream, quantize_kernel, full, rows.begin, blocks);
}

}  // namespace

void add_q8_rows(DeviceOpTable* table) { table->quantize_rows = quantize_rows; }

}  // namespace windlass

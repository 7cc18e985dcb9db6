// BF16 weights with bf16 activations, on tensor cores, of any number of tokens: one body, as the
// sum of a tile is in the card's own order. For many tokens it is some way from the best there is,
// as activations are read where they lie (L1), but many times as fast as multiply-adds of f32.
#include <cfloat>

#include "kernels/bf16.h"
#include "kernels/families.h"
#include "kernels/thin_tiles.h"

namespace windlass {
namespace {

struct Bf16Segment {
  static constexpr int kParts = 4;  // 256 bytes of a row: with 8, sums of 64 tokens need 54 KiB

  // Weights c and c + 1 of a row that has so many left; zeros after them, whatever lies there.
  static __device__ std::uint32_t pair(const SharedBytes& row, int c, std::int64_t left) {
    if (c >= left) return 0;
    const std::uint32_t two = load_u32(row, c / 2);
    return c + 1 < left ? two : two & 0xffffu;
  }

  static __device__ void add(const MatMulArgs& args, const TileType&,
                             const SharedBytes (&pieces)[2], std::int64_t first, int parts,
                             const TileTokens& x, float (&sums)[1][kTokenTiles][4]) {
    const int lane = static_cast<int>(threadIdx.x % kWarpLanes), g = lane / 4, t = lane % 4;
    const std::int64_t left = args.n_in - 32 * first;
    for (int c = 2 * t; c < 32 * parts; c += 16) {
      const std::uint32_t weights[4] = {pair(pieces[0], c, left), pair(pieces[1], c, left),
                                        pair(pieces[0], c + 8, left), pair(pieces[1], c + 8, left)};
      WINDLASS_UNROLL
      for (int n = 0; n < kTokenTiles; ++n) {
        if (8 * n > x.last) continue;
        const auto* values = reinterpret_cast<const std::uint32_t*>(
            x.first + min(8 * n + g, x.last) * x.token_bytes + 2 * c);
        multiply_bf16(sums[0][n], weights, values[0], values[4]);
      }
    }
  }
};

void matmul_bf16(const MatMulArgs& args, DeviceRange rows) {
  MatMulArgs full = args;
  if (full.x_stride_bytes == 0) full.x_stride_bytes = bf16_row_bytes(args.n_in);
  full.x_block_bytes = 64;  // of 32 activations
  launch_thin<Bf16Segment>(full, {DType::kBF16, 1, 2}, rows);
}

// A thread an element of a row with its padding.
__global__ void round_kernel(QuantizeRowsArgs args, std::int64_t first_row, std::int64_t padded) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::int64_t row = first_row + i / padded, column = i % padded;
  const std::int64_t end = first_row + args.rows;  // rows of this call
  if (row >= end) return;
  float value = column < args.width ? args.in[row * args.in_stride + column] : 0.0f;
  if (fabsf(value) < FLT_MIN) value = 0.0f;
  reinterpret_cast<std::uint16_t*>(args.out)[row * padded + column] = bf16_of_f32(value);
}

void round_rows(const QuantizeRowsArgs& args, DeviceRange rows) {
  constexpr int kThreads = 256;
  QuantizeRowsArgs full = args;
  if (full.in_stride == 0) full.in_stride = args.width;
  full.rows = rows.end - rows.begin;
  const std::int64_t padded = bf16_row_bytes(args.width) / 2;
  launch((full.rows * padded + kThreads - 1) / kThreads, kThreads, 0, rows.stream, round_kernel,
         full, rows.begin, padded);
}

}  // namespace

void add_matmul_bf16(DeviceOpTable* table) {
  table->round_rows = round_rows;
  table->matmul_bf16[static_cast<int>(DType::kBF16)] = matmul_bf16;
}

}  // namespace windlass

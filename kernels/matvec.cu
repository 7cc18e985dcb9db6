// Products of a few tokens: a warp for each row of weights, which are turned to floats once for up
// to eight tokens and never stored. Each token's sum has an order of its own, by n_in alone: lane l
// adds up parts l, l + 32, .., then the lanes meet.
#include "kernels/device_words.h"
#include "kernels/families.h"
#include "kernels/formats/decoded_types.h"
#include "kernels/reduce.h"

namespace windlass {
namespace {

constexpr int kRows = 4;    // of weights, for a block of so many warps
constexpr int kTokens = 8;  // sums that a lane keeps in registers

struct MatVecTiles {
  std::int64_t first_row, end_row, token_tiles;
};

// sum + the product of w and the eight activations.
template <bool kMayEnd>
__device__ float add_part(float sum, const float* w, const float* x, const WeightRuns& runs,
                          std::int64_t n_in) {
  for (int j = 0; j < 4; ++j) {
    if (!kMayEnd || runs.first + j < n_in) sum = fmaf(w[j], x[runs.first + j], sum);
  }
  for (int j = 0; j < 4; ++j) {
    if (!kMayEnd || runs.second + j < n_in) sum = fmaf(w[4 + j], x[runs.second + j], sum);
  }
  return sum;
}

template <DType kType>
__global__ void matvec_kernel(MatMulArgs args, MatVecTiles tiles) {
  const std::int64_t row =
      tiles.first_row + blockIdx.x / tiles.token_tiles * kRows + threadIdx.x / kWarpLanes;
  if (row >= tiles.end_row) return;
  const std::int64_t first_token = blockIdx.x % tiles.token_tiles * kTokens;
  const std::int64_t left = args.n_tokens - first_token, parts = (args.n_in + 7) / 8;
  const auto* weights = reinterpret_cast<const std::uint8_t*>(args.weights) + row * args.row_bytes;
  const auto* x = static_cast<const std::byte*>(args.x) + first_token * args.x_stride_bytes;
  const int lane = static_cast<int>(threadIdx.x % kWarpLanes);
  float sums[kTokens] = {};
  for (std::int64_t part = lane; part < parts; part += kWarpLanes) {
    float w[8];
    const WeightRuns runs = decode_eight<kType>(weights, part, args.n_in, w);
    for (int t = 0; t < kTokens; ++t) {
      if (t >= left) continue;
      const auto* of_token = reinterpret_cast<const float*>(x + t * args.x_stride_bytes);
      sums[t] = add_part<kIsFloat<kType>>(sums[t], w, of_token, runs, args.n_in);
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    if (t >= left) continue;
    const float sum = warp_sum(sums[t]);
    float* out = args.out + (first_token + t) * args.out_stride + row;
    if (lane == 0) *out = args.accumulate ? *out + sum : sum;
  }
}

template <DType kType>
void matmul_f32(const MatMulArgs& args, DeviceRange rows) {
  MatMulArgs full = args;
  if (full.x_stride_bytes == 0) {
    full.x_stride_bytes = args.n_in * static_cast<std::int64_t>(sizeof(float));
  }
  const MatVecTiles tiles = {rows.begin, rows.end, (args.n_tokens + kTokens - 1) / kTokens};
  const std::int64_t row_tiles = (rows.end - rows.begin + kRows - 1) / kRows;
  launch(row_tiles * tiles.token_tiles, kRows * kWarpLanes, 0, rows.stream, matvec_kernel<kType>,
         full, tiles);
}

}  // namespace

void add_matvec(DeviceOpTable* table) {
  for_each_decoded_type(
      [&]<DType kType>() { table->matmul_f32[static_cast<int>(kType)] = matmul_f32<kType>; });
}

}  // namespace windlass

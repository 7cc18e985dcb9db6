// Weights of every type with float activations of many tokens: a block turns 128 rows by 32 weights
// to floats in shared memory, where they meet 64 tokens; a thread has 8 rows by 4 tokens in
// registers. The bits are those of matvec_f32.cu. For --exact and for float weights: 32
// multiply-adds for 3 loads of four floats, so near the multiply-adds' own speed.
#include "kernels/formats/decoded_types.h"
#include "kernels/matmul_tiles.h"

namespace windlass {
namespace {

constexpr int kThreads = 256, kRows = 128, kTokens = 64, kStep = 32;  // weights of a row at once
// Between the weights of one column, or its tokens: four banks further for the next.
constexpr int kRowPitch = kRows + 4, kTokenPitch = kTokens + 4;
static_assert(kF32Segment % kStep == 0);

struct FloatTiles {
  std::int64_t first_row, end_row, token_tiles;
};

// Zeros past the rows' end.
__device__ void fill_weights(DType type, const MatMulArgs& args, std::int64_t first_row,
                             std::int64_t end_row, std::int64_t first, float* weights) {
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kStep / 8; i += kThreads) {
    const int row = i / (kStep / 8), eight = i % (kStep / 8);
    if (first_row + row >= end_row) continue;
    const auto* from =
        reinterpret_cast<const std::uint8_t*>(args.weights) + (first_row + row) * args.row_bytes;
    const auto decode = [&]<DType kType>() {
      float w[8];
      const WeightRuns runs = decode_eight<kType>(from, first / 8 + eight, args.n_in, w);
      for (int j = 0; j < 4; ++j) {
        weights[(runs.first - first + j) * kRowPitch + row] = w[j];
        weights[(runs.second - first + j) * kRowPitch + row] = w[4 + j];
      }
    };
    FloatTypes::for_one(type, decode);
    Int8Types::for_one(type, decode);
  }
}

__device__ void fill_tokens(const MatMulArgs& args, std::int64_t first_token, std::int64_t first,
                            float* tokens) {
  for (int i = static_cast<int>(threadIdx.x); i < kTokens * kStep; i += kThreads) {
    const int token = i / kStep, k = i % kStep;
    const auto* x = reinterpret_cast<const float*>(static_cast<const std::byte*>(args.x) +
                                                   (first_token + token) * args.x_stride_bytes);
    const bool there = first_token + token < args.n_tokens && first + k < args.n_in;
    tokens[k * kTokenPitch + token] = there ? x[first + k] : 0.0f;
  }
}

struct alignas(16) FourFloats {
  float x[4];
};

// Adds the products of one step: rows 4i.. and 64 + 4i.., tokens 4j.. .
__device__ void add_step(const float* weights, const float* tokens, int columns, int i, int j,
                         float (&sums)[8][4]) {
  for (int k = 0; k < columns; ++k) {
    const auto* w = reinterpret_cast<const FourFloats*>(weights + k * kRowPitch + 4 * i);
    const FourFloats low = w[0], high = w[kRows / 8];
    const FourFloats x = *reinterpret_cast<const FourFloats*>(tokens + k * kTokenPitch + 4 * j);
    for (int r = 0; r < 8; ++r) {
      const float of_row = r < 4 ? low.x[r] : high.x[r - 4];
      for (int t = 0; t < 4; ++t) sums[r][t] = fmaf(of_row, x.x[t], sums[r][t]);
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    f32_tiles_kernel(DType type, MatMulArgs args, FloatTiles tiles) {
  float* weights = shared_memory<float>();
  float* tokens = weights + kStep * kRowPitch;
  const std::int64_t first_row = tiles.first_row + blockIdx.x / tiles.token_tiles * kRows;
  const std::int64_t first_token = blockIdx.x % tiles.token_tiles * kTokens;
  const int i = static_cast<int>(threadIdx.x % 16), j = static_cast<int>(threadIdx.x / 16);
  float totals[8][4] = {}, sums[8][4] = {};
  for (std::int64_t first = 0; first < args.n_in; first += kStep) {
    __syncthreads();  // what lies there may still be read
    fill_weights(type, args, first_row, tiles.end_row, first, weights);
    fill_tokens(args, first_token, first, tokens);
    __syncthreads();
    const std::int64_t left = args.n_in - first;
    if (first_token + 4 * j < args.n_tokens) {
      add_step(weights, tokens, left < kStep ? static_cast<int>(left) : kStep, i, j, sums);
    }
    if ((first + kStep) % kF32Segment != 0 && left > kStep) continue;
    for (int r = 0; r < 8; ++r) {
      for (int t = 0; t < 4; ++t) {
        totals[r][t] += sums[r][t];
        sums[r][t] = 0;
      }
    }
  }
  for (int r = 0; r < 8; ++r) {
    const std::int64_t row = first_row + r / 4 * (kRows / 2) + 4 * i + r % 4;
    for (int t = 0; t < 4; ++t) {
      const std::int64_t token = first_token + 4 * j + t;
      if (row >= tiles.end_row || token >= args.n_tokens) continue;
      float* out = args.out + token * args.out_stride + row;
      *out = args.accumulate ? *out + totals[r][t] : totals[r][t];
    }
  }
}

}  // namespace

void matmul_f32_tiles(DType type, const MatMulArgs& args, DeviceRange rows) {
  const FloatTiles tiles = {rows.begin, rows.end, (args.n_tokens + kTokens - 1) / kTokens};
  const std::int64_t row_tiles = (rows.end - rows.begin + kRows - 1) / kRows;
  launch(row_tiles * tiles.token_tiles, kThreads,
         kStep * (kRowPitch + kTokenPitch) * static_cast<std::int64_t>(sizeof(float)), rows.stream,
         f32_tiles_kernel, type, args, tiles);
}

}  // namespace windlass

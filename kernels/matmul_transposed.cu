// Products with matrices stored [n_in, n_out], of types of single numbers: a thread for each column
// and up to eight tokens, whose activations a block keeps in shared memory, 32 at a time. Each sum
// goes over n_in one by one, as the contract has it.
#include "kernels/device_words.h"
#include "kernels/families.h"
#include "kernels/formats/floats.h"

namespace windlass {
namespace {

constexpr int kColumns = 128;  // of a block, one a thread
constexpr int kTokens = 8;     // sums that a thread keeps in registers
constexpr int kRows = 32;      // of the matrix, whose activations are in shared memory at a time

struct TransposedTiles {
  std::int64_t first_column, end_column, token_tiles;
};

// Activations of rows [first, first + kRows) and the block's tokens, [kRows][kTokens]; zeros where
// there is none.
__device__ void load_activations(const MatMulTransposedArgs& args, std::int64_t first_token,
                                 std::int64_t first, float* to) {
  for (int n = static_cast<int>(threadIdx.x); n < kRows * kTokens; n += kColumns) {
    const std::int64_t token = first_token + n / kRows, row = first + n % kRows;
    const bool is_there = token < args.n_tokens && row < args.n_in;
    to[n % kRows * kTokens + n / kRows] = is_there ? args.x[token * args.x_stride + row] : 0.0f;
  }
}

template <DType kType>
__global__ void matmul_transposed_kernel(MatMulTransposedArgs args, TransposedTiles tiles) {
  const std::int64_t column =
      tiles.first_column + blockIdx.x / tiles.token_tiles * kColumns + threadIdx.x;
  const std::int64_t first_token = blockIdx.x % tiles.token_tiles * kTokens;
  const bool is_there = column < tiles.end_column;
  const auto* weights = reinterpret_cast<const std::uint8_t*>(args.weights) +
                        (is_there ? column : tiles.first_column) * Decoder<kType>::kBytes;
  float* out = args.out + first_token * args.out_stride + column;
  float* x = shared_memory<float>();
  float sums[kTokens] = {};
  for (int t = 0; t < kTokens; ++t) {
    const bool adds = args.accumulate && is_there && first_token + t < args.n_tokens;
    if (adds) sums[t] = out[t * args.out_stride];
  }
  for (std::int64_t first = 0; first < args.n_in; first += kRows) {
    __syncthreads();  // the activations before have been read
    load_activations(args, first_token, first, x);
    __syncthreads();
    const int rows = static_cast<int>(min(args.n_in - first, std::int64_t{kRows}));
    for (int i = 0; i < rows; ++i, weights += args.row_bytes) {
      const float weight = Decoder<kType>::decode(weights);
      for (int t = 0; t < kTokens; ++t) sums[t] = fmaf(weight, x[i * kTokens + t], sums[t]);
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    if (is_there && first_token + t < args.n_tokens) out[t * args.out_stride] = sums[t];
  }
}

template <DType kType>
void matmul_transposed(const MatMulTransposedArgs& args, DeviceRange columns) {
  const TransposedTiles tiles = {columns.begin, columns.end,
                                 (args.n_tokens + kTokens - 1) / kTokens};
  const std::int64_t column_tiles = (columns.end - columns.begin + kColumns - 1) / kColumns;
  launch(column_tiles * tiles.token_tiles, kColumns, kRows * kTokens * std::int64_t{sizeof(float)},
         columns.stream, matmul_transposed_kernel<kType>, args, tiles);
}

template <DType... kTypes>
void add_types(DeviceOpTable* table) {
  ((table->matmul_transposed[static_cast<int>(kTypes)] = matmul_transposed<kTypes>), ...);
}

}  // namespace

void add_matmul_transposed(DeviceOpTable* table) {
  add_types<DType::kF32, DType::kF16, DType::kBF16>(table);
}

}  // namespace windlass

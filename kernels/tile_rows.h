// What kernels that multiply in tiles, on tensor cores, have in common: rows of weights in shared
// memory and rows of activations, in parts of 32 weights.
#pragma once

#include "kernels/staged_rows.h"
#include "src/ops/op_args.h"

namespace windlass {

inline constexpr int kTileWarps = 4;   // of a block
inline constexpr int kTokenTiles = 8;  // of 8 tokens, that a warp has at most

struct RowRange {
  std::int64_t begin, end;
};

// What the kernels know of a type of weights while they run: the weights and bytes of a block.
struct TileType {
  DType type;
  int weights, bytes;
};

// Rows of activations, in global or shared memory.
struct TileTokens {
  const std::byte* first;
  int token_bytes, part_bytes;  // from one token, or part, to the next
  int last;                     // the index of the last one; those past it read as it does
};

// Starts to copy parts [first, first + parts) of 16 rows, as far as they go, by a warp.
inline __device__ void stage_16_rows(std::uint8_t* to, int pitch, const MatMulArgs& args,
                                     const TileType& info, std::int64_t first_row,
                                     std::int64_t end_row, std::int64_t first, std::int64_t parts) {
  const std::int64_t size = args.n_in / info.weights * info.bytes;
  const std::int64_t begin = first * 32 / info.weights * info.bytes;
  if (begin >= size) return;
  const std::int64_t end = min(size, begin + parts * 32 / info.weights * info.bytes);
  const int lane = static_cast<int>(threadIdx.x % kWarpLanes);
  for (int r = lane / 16; r < 16 && first_row + r < end_row; r += 2) {
    const auto* row =
        reinterpret_cast<const std::uint8_t*>(args.weights) + (first_row + r) * args.row_bytes;
    stage_piece(to + r * pitch, {row, begin, end, size}, lane % 16);
  }
}

// The row's piece that stage_16_rows copied from part `first` on. A row past the end is the last
// one, whose products are dropped. REQUIRES: first_row < end_row.
inline __device__ SharedBytes staged_row(const std::uint8_t* to, int pitch, const MatMulArgs& args,
                                         const TileType& info, std::int64_t first_row,
                                         std::int64_t end_row, int r, std::int64_t first) {
  r = static_cast<int>(min(std::int64_t{r}, end_row - 1 - first_row));
  const auto* row =
      reinterpret_cast<const std::uint8_t*>(args.weights) + (first_row + r) * args.row_bytes;
  return staged_piece(to + r * pitch, row + first * 32 / info.weights * info.bytes);
}

}  // namespace windlass

// Quantised weights with q8 activations of more than a few tokens, on tensor cores (q8_tiles.h).
//
// Up to 64 tokens are thin_kernel's (thin_tiles.h). Of more wide_kernel makes tiles: a block has
// 128 rows by 64 tokens, a warp 32 rows by all of them, and goes through n_in by 128 weights;
// activations are copied to shared memory for all four warps. Instructions of a warp for 32 rows by
// 64 tokens by 32 weights of one scale: 16 products of tiles, 128 multiply-adds for their 64 sums a
// lane (192 with offsets), 32 loads of activations, some 80 for codes and scales of four rows. On
// sm_89 a processor's quarter takes 16 clocks a product, 256 in all, which is about what the 256
// others take to issue: nearly the tensor cores' speed. On sm_90 16 products take about 100 clocks,
// and the multiply-adds bind: half of what mma.sync can do there. Two blocks share a processor and
// copy while the other computes; within 48 KiB there is no room for a second buffer (128 rows of
// q6_K have 30 KiB), which with more, as sm_80 and later have, would be the next thing to try. None
// of this was measured on a card.
#include <algorithm>

#include "kernels/matmul_tiles.h"
#include "kernels/q8_tiles.h"
#include "kernels/thin_tiles.h"

namespace windlass {
namespace {

template <class Kind>
struct ThinSegment {
  static constexpr int kParts = kQ8SegmentBlocks;

  static __device__ void add(const MatMulArgs&, const TileType& info,
                             const SharedBytes (&pieces)[2], std::int64_t, int parts,
                             const TileTokens& x, float (&sums)[1][kTokenTiles][4]) {
    add_parts<Kind, 1>(info.type, pieces, 0, parts, x, sums);
  }
};

constexpr int kWarpRows = 32, kWideRows = kTileWarps * kWarpRows, kWideTokens = 8 * kTokenTiles;
constexpr int kStepBlocks = 4;  // q8 blocks that activations are copied for at once
// An odd number of 16 bytes, as in staged_pitch().
constexpr int kTokenPitch = kStepBlocks * static_cast<int>(sizeof(Q8Block)) + 16;

struct WideSizes {
  std::int64_t token_tiles;
  int pitch;        // bytes between staged rows
  int piece_parts;  // of 32 weights, that are staged at once
};

// Starts to copy the first 48 bytes of some blocks of the block's tokens.
__device__ void stage_tokens(std::uint8_t* to, const MatMulArgs& args, std::int64_t first_token,
                             std::int64_t first_block, int blocks) {
  constexpr int kPieces = 3 * kStepBlocks;
  for (int i = static_cast<int>(threadIdx.x); i < kWideTokens * kPieces;
       i += kTileWarps * kWarpLanes) {
    const int token = i / kPieces, block = i % kPieces / 3, piece = i % 3;
    if (first_token + token >= args.n_tokens || block >= blocks) continue;
    const std::byte* from = static_cast<const std::byte*>(args.x) +
                            (first_token + token) * args.x_stride_bytes +
                            (first_block + block) * args.x_block_bytes;
    copy_async(to + token * kTokenPitch + block * static_cast<int>(sizeof(Q8Block)) + 16 * piece,
               from + 16 * piece);
  }
}

__device__ void store_sums(const MatMulArgs& args, const RowRange& rows, std::int64_t row,
                           std::int64_t token, const float* sums) {
  for (int i = 0; i < 4; ++i) {
    const std::int64_t r = row + i / 2 * 8, t = token + i % 2;
    if (r >= rows.end || t >= args.n_tokens) continue;
    float* out = args.out + t * args.out_stride + r;
    *out = args.accumulate ? *out + sums[i] : sums[i];
  }
}

using WideSums = float[2][kTokenTiles][4];

// Adds a segment's sums to the totals, and sets them to 0.
__device__ void add_segment(WideSums& sums, WideSums& totals) {
  WINDLASS_UNROLL
  for (int m = 0; m < 2; ++m) {
    WINDLASS_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      WINDLASS_UNROLL
      for (int i = 0; i < 4; ++i) {
        totals[m][n][i] += sums[m][n][i];
        sums[m][n][i] = 0;
      }
    }
  }
}

template <class Kind>
__global__ void __launch_bounds__(kTileWarps* kWarpLanes, 2)
    wide_kernel(MatMulArgs args, TileType info, RowRange rows, WideSizes sizes) {
  const int warp = static_cast<int>(threadIdx.x) / kWarpLanes;
  const int lane = static_cast<int>(threadIdx.x) % kWarpLanes, g = lane / 4, t = lane % 4;
  auto* staged = shared_memory<std::uint8_t>() + warp * kWarpRows * sizes.pitch;
  auto* tokens = shared_memory<std::uint8_t>() + kWideRows * sizes.pitch;
  const std::int64_t first_token = blockIdx.x % sizes.token_tiles * kWideTokens;
  const std::int64_t first_row =
      rows.begin + blockIdx.x / sizes.token_tiles * kWideRows + warp * kWarpRows;
  const std::int64_t parts = args.n_in / 32;
  const TileTokens x = {
      reinterpret_cast<const std::byte*>(tokens), kTokenPitch, sizeof(Q8Block),
      static_cast<int>(min(args.n_tokens - first_token, std::int64_t{kWideTokens})) - 1};
  WideSums totals = {}, sums = {};
  for (std::int64_t part = 0; part < parts; part += kStepBlocks) {
    const std::int64_t in_piece = part % sizes.piece_parts, piece = part - in_piece;
    const int blocks = static_cast<int>(min(parts - part, std::int64_t{kStepBlocks}));
    __syncthreads();  // what lies there may still be read
    for (int m = 0; m < 2 && in_piece == 0; ++m) {
      stage_16_rows(staged + m * 16 * sizes.pitch, sizes.pitch, args, info, first_row + 16 * m,
                    rows.end, piece, sizes.piece_parts);
    }
    stage_tokens(tokens, args, first_token, part, blocks);
    commit_copies();
    wait_for_copies<0>();
    __syncthreads();
    if (first_row < rows.end) {
      SharedBytes pieces[4];
      for (int i = 0; i < 4; ++i) {
        pieces[i] =
            staged_row(staged, sizes.pitch, args, info, first_row, rows.end, g + 8 * i, piece);
      }
      add_parts<Kind, 2>(info.type, pieces, static_cast<int>(in_piece), blocks, x, sums);
    }
    const bool ends = (part + kStepBlocks) % kQ8SegmentBlocks == 0 || part + kStepBlocks >= parts;
    if (ends) add_segment(sums, totals);
  }
  WINDLASS_UNROLL
  for (int m = 0; m < 2; ++m) {
    WINDLASS_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      store_sums(args, rows, first_row + 16 * m + g, first_token + 8 * n + 2 * t, totals[m][n]);
    }
  }
}

template <class Kind>
void launch_wide(const MatMulArgs& args, const TileType& info, DeviceRange rows) {
  const int piece_parts = std::max(info.weights / 32, kStepBlocks);
  const WideSizes sizes = {
      (args.n_tokens + kWideTokens - 1) / kWideTokens,
      static_cast<int>(staged_pitch(piece_parts * 32 / info.weights * info.bytes)), piece_parts};
  const std::int64_t row_tiles = (rows.end - rows.begin + kWideRows - 1) / kWideRows;
  launch(row_tiles * sizes.token_tiles, kTileWarps * kWarpLanes,
         kWideRows * sizes.pitch + kWideTokens * kTokenPitch, rows.stream, wide_kernel<Kind>, args,
         info, RowRange{rows.begin, rows.end}, sizes);
}

template <class Kind>
void launch_tiles(const MatMulArgs& args, const TileType& info, DeviceRange rows) {
  if (args.n_tokens > kWideTokens) return launch_wide<Kind>(args, info, rows);
  launch_thin<ThinSegment<Kind>>(args, info, rows);
}

}  // namespace

void matmul_q8_tiles(DType type, const MatMulArgs& args, DeviceRange rows) {
  Int8Types::for_each([&]<DType kType>() {
    using Type = Decoder<kType>;
    if (kType != type) return;
    launch_tiles<Q8Kind<Type::kGroups, Type::kHasOffset>>(
        args, {kType, Type::kWeights, Type::kBytes}, rows);
  });
}

}  // namespace windlass

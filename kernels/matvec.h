// Products of up to kMostVectors tokens: the kernel that reads each row of weights once.
//
// A sum over n_in is cut into segments (of 64 weights with float activations, of 256 with q8 ones).
// A lane computes one segment of one row, for all tokens; segments' sums meet in shared memory,
// where they are added up in their order. A warp has 8 rows by 4 neighbouring segments, a block 4
// warps with 16 segments of the same 8 rows, and then the next 16. So no lane waits for another's
// sum, lanes of a row read activations that the other rows' lanes read too, and even a product of
// 1,024 rows is 128 blocks.
//
// A warp copies what it needs of a row, some 144 to 1,088 bytes side by side, and reads it from
// shared memory: every byte leaves DRAM once, in whole sectors. Blocks do not prefetch beyond the
// next round; the others on the processor (5 of q4_0 in the 100 KiB of sm_89, 12 in the 228 of
// sm_90) copy meanwhile, some 18 KiB each, where 1 TB/s for 0.8 us over 128 processors is 6 KiB.
//
// Instructions of nvcc's PTX (some pairs become one on the card) for 32 weights of q4_0 a lane: 43
// to load codes and scale and to make signed bytes of nibbles, 10 of loops and addresses, and for
// each token 3 loads, 8 dot products, 2 multiply-adds. With one token 66 for a warp's 576 bytes, at
// two a clock (of four) 17 bytes a clock and processor; DRAM gives 3.2 on an RTX 4090 (1.0 TB/s,
// 128 at 2.5 GHz) and 15 on an H100 (3.35 TB/s, 132 at 1.7 GHz). With 8 tokens it is 7. Of one
// token q4_K and q8_0 take about the same, q6_K some 200 for 840 bytes (8 a clock), types with
// codebooks as many for 200 to 440 (2 to 4). Counted, not measured.
#pragma once

#include "kernels/matmul_tiles.h"
#include "kernels/staged_rows.h"
#include "src/ops/op_args.h"

namespace windlass {

struct MatVecShape {
  static constexpr int kRows = 8, kWarpSegments = 4, kWarps = 4;
  static constexpr int kSegments = kWarpSegments * kWarps;  // of a round
  static constexpr int kThreads = kWarps * kWarpLanes;
  static_assert(kRows * kWarpSegments == kWarpLanes);
  static_assert(kRows * kMostVectors <= kThreads);  // each adds up one sum
};

// What a Segment is: kBytes of kWarpSegments segments of a row; kWeights of one; and
//   add(row, segment, args, sums): adds the products of segment `segment`, with each token, to
//   sums[kMostVectors]; `row` is the row's staged piece, which begins with segment `segment` /
//   kWarpSegments * kWarpSegments.
template <class Segment>
inline constexpr std::int64_t kMatVecPitch = staged_pitch(Segment::kBytes);

template <class Segment>
inline constexpr std::int64_t kMatVecSharedBytes =
    MatVecShape::kWarps* MatVecShape::kRows* kMatVecPitch<Segment> +
    MatVecShape::kSegments* MatVecShape::kRows* kMostVectors* static_cast<std::int64_t>(
        sizeof(float));

// Starts to copy the warp's part of a round.
template <class Segment>
__device__ void stage_matvec(std::uint8_t* to, const MatMulArgs& args, std::int64_t first_row,
                             std::int64_t end_row, std::int64_t first_segment, std::int64_t size) {
  const std::int64_t begin = first_segment / MatVecShape::kWarpSegments * Segment::kBytes;
  if (begin >= size) return;
  const std::int64_t end = begin + Segment::kBytes < size ? begin + Segment::kBytes : size;
  const int lane = static_cast<int>(threadIdx.x % kWarpLanes);
  for (int r = lane / 16; r < MatVecShape::kRows && first_row + r < end_row; r += 2) {
    const auto* row =
        reinterpret_cast<const std::uint8_t*>(args.weights) + (first_row + r) * args.row_bytes;
    stage_piece(to + r * kMatVecPitch<Segment>, {row, begin, end, size}, lane % 16);
  }
}

// The segments of the round, one after the other, for the sum of this thread: row t / kMostVectors,
// token t % kMostVectors.
inline __device__ float add_segments(float total, const float* sums, std::int64_t segments) {
  for (int s = 0; s < MatVecShape::kSegments && s < segments; ++s) {
    total += sums[s * MatVecShape::kRows * kMostVectors + static_cast<int>(threadIdx.x)];
  }
  return total;
}

// `size`: bytes of a row that have weights in them.
template <class Segment>
__global__ void matvec_kernel(MatMulArgs args, std::int64_t first_row, std::int64_t end_row,
                              std::int64_t size) {
  using Shape = MatVecShape;
  auto* shared = shared_memory<std::uint8_t>();
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / kWarpLanes, r = thread % Shape::kRows;
  std::uint8_t* staged = shared + warp * Shape::kRows * kMatVecPitch<Segment>;
  auto* sums = reinterpret_cast<float*>(
      shared + Shape::kWarps * Shape::kRows * kMatVecPitch<Segment>);  // [segment][row][token]
  first_row += std::int64_t{blockIdx.x} * Shape::kRows;
  const std::int64_t segments = (args.n_in + Segment::kWeights - 1) / Segment::kWeights;
  const int in_round = thread / Shape::kRows;  // warp * kWarpSegments + its own
  const auto* weights = reinterpret_cast<const std::uint8_t*>(args.weights);
  float total = 0;
  stage_matvec<Segment>(staged, args, first_row, end_row, warp * Shape::kWarpSegments, size);
  for (std::int64_t first = 0; first < segments; first += Shape::kSegments) {
    commit_copies();
    wait_for_copies<0>();
    __syncthreads();
    const std::int64_t of_warp = first + warp * Shape::kWarpSegments, segment = first + in_round;
    if (segment < segments && first_row + r < end_row) {
      const std::uint8_t* piece = weights + (first_row + r) * args.row_bytes +
                                  of_warp / Shape::kWarpSegments * Segment::kBytes;
      float of_lane[kMostVectors] = {};
      Segment::add(staged_piece(staged + r * kMatVecPitch<Segment>, piece), segment, args, of_lane);
      float* to = sums + (in_round * Shape::kRows + r) * kMostVectors;
      for (int t = 0; t < kMostVectors; ++t) to[t] = of_lane[t];
    }
    __syncthreads();
    stage_matvec<Segment>(staged, args, first_row, end_row, of_warp + Shape::kSegments, size);
    if (thread < Shape::kRows * kMostVectors) total = add_segments(total, sums, segments - first);
  }
  const std::int64_t row = first_row + thread / kMostVectors;
  if (thread >= Shape::kRows * kMostVectors || row >= end_row) return;
  if (thread % kMostVectors >= args.n_tokens) return;
  float* out = args.out + thread % kMostVectors * args.out_stride + row;
  *out = args.accumulate ? *out + total : total;
}

// REQUIRES: strides of x are said, at most kMostVectors tokens.
template <class Segment>
void launch_matvec(const MatMulArgs& args, DeviceRange rows, std::int64_t size) {
  const std::int64_t blocks = (rows.end - rows.begin + MatVecShape::kRows - 1) / MatVecShape::kRows;
  launch(blocks, MatVecShape::kThreads, kMatVecSharedBytes<Segment>, rows.stream,
         matvec_kernel<Segment>, args, rows.begin, rows.end, size);
}

}  // namespace windlass

// RMS norm and layer norm: a block for each vector, whose threads keep to their own elements, so
// that in place is safe.
#include <algorithm>

#include "kernels/device_words.h"
#include "kernels/families.h"
#include "kernels/reduce.h"
#include "kernels/vectors.h"

namespace windlass {
namespace {

// About eight elements a thread: a head's norm is one warp's, a row's that of up to sixteen. By
// width alone, since the order of summation follows.
int threads_for(std::int64_t width) {
  constexpr std::int64_t kElements = 8, kMostThreads = 512;
  const std::int64_t warps = (width + kElements * kWarpLanes - 1) / (kElements * kWarpLanes);
  return static_cast<int>(std::min(warps * kWarpLanes, kMostThreads));
}

__global__ void rms_norm_kernel(NormArgs args, std::int64_t first_row) {
  const std::int64_t row = first_row + blockIdx.x / args.vectors, v = blockIdx.x % args.vectors;
  const float* in = vector_at(args.in, row, v);
  float* out = vector_at(args.out, row, v);
  float squares = 0;
  for (std::int64_t i = threadIdx.x; i < args.width; i += blockDim.x) {
    squares = fmaf(in[i], in[i], squares);
  }
  squares = block_sum(squares, shared_memory<float>());
  const float root = sqrtf(squares / static_cast<float>(args.width) + args.epsilon);
  for (std::int64_t i = threadIdx.x; i < args.width; i += blockDim.x) {
    out[i] = in[i] / root * (args.weight[i] + args.weight_offset);
  }
}

__global__ void layer_norm_kernel(NormArgs args, std::int64_t first_row) {
  const std::int64_t row = first_row + blockIdx.x / args.vectors, v = blockIdx.x % args.vectors;
  const float* in = vector_at(args.in, row, v);
  float* out = vector_at(args.out, row, v);
  float sum = 0, squares = 0;
  for (std::int64_t i = threadIdx.x; i < args.width; i += blockDim.x) sum += in[i];
  const float mean = block_sum(sum, shared_memory<float>()) / static_cast<float>(args.width);
  for (std::int64_t i = threadIdx.x; i < args.width; i += blockDim.x) {
    squares = fmaf(in[i] - mean, in[i] - mean, squares);
  }
  squares = block_sum(squares, shared_memory<float>());
  const float root = sqrtf(squares / static_cast<float>(args.width) + args.epsilon);
  for (std::int64_t i = threadIdx.x; i < args.width; i += blockDim.x) {
    out[i] = (in[i] - mean) / root * (args.weight[i] + args.weight_offset);
  }
}

template <void (*kKernel)(NormArgs, std::int64_t)>
void norm(const NormArgs& args, DeviceRange range) {
  const int threads = threads_for(args.width);
  launch((range.end - range.begin) * args.vectors, threads,
         threads / kWarpLanes * std::int64_t{sizeof(float)}, range.stream, kKernel, args,
         range.begin);
}

}  // namespace

void add_norms(DeviceOpTable* table) {
  table->rms_norm = norm<rms_norm_kernel>;
  table->layer_norm = norm<layer_norm_kernel>;
}

}  // namespace windlass

// Choosing the experts of a mixture: a block of one warp for each row, whose lanes take every 32nd
// expert. What is chosen next is a maximum over the warp, of an expert's merit and its place.
#include "kernels/device_words.h"
#include "kernels/families.h"
#include "kernels/reduce.h"

namespace windlass {
namespace {

// Of one row, in shared memory. Ranks order floats as integers; 0: not to be chosen.
struct RowMemory {
  float *probability, *merit;          // [n_experts]
  std::uint32_t *ranks, *group_ranks;  // [n_experts], [n_groups]

  static std::int64_t bytes(const ChooseExpertsArgs& args) {
    return (3 * args.n_experts + args.n_groups) * std::int64_t{sizeof(float)};
  }
  __device__ static RowMemory here(const ChooseExpertsArgs& args) {
    auto* floats = shared_memory<float>();
    auto* ranks = reinterpret_cast<std::uint32_t*>(floats + 2 * args.n_experts);
    return {floats, floats + args.n_experts, ranks, ranks + args.n_experts};
  }
};

// Larger for larger floats, equal for both zeros, 1 for NaNs.
__device__ std::uint32_t rank_of(float x) {
  if (!(x == x)) return 1;
  const std::uint32_t bits = bits_of_f32(x + 0.0f);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}

// The place of the largest of n ranks, the first of equals, in all lanes; its rank is 0 then.
__device__ int take_best(std::uint32_t* ranks, int n, int lane) {
  std::uint64_t best = 0;
  for (int i = lane; i < n; i += kWarpLanes) {
    const std::uint64_t place = 0xffffffffu - static_cast<std::uint32_t>(i);
    best = max(best, static_cast<std::uint64_t>(ranks[i]) << 32 | place);
  }
  for (int mask = kWarpLanes / 2; mask > 0; mask /= 2) {
    best = max(best, __shfl_xor_sync(kAllLanes, best, mask));
  }
  const int place = static_cast<int>(0xffffffffu - static_cast<std::uint32_t>(best));
  if (place % kWarpLanes == lane) ranks[place] = 0;
  __syncwarp();
  return place;
}

__device__ void score_experts(const ChooseExpertsArgs& args, const float* scores,
                              const RowMemory& row, int lane) {
  const int n = static_cast<int>(args.n_experts);
  const bool softmax = args.gate == ExpertGate::kSoftmax;
  float largest = -INFINITY, sum = 0.0f;
  for (int i = lane; softmax && i < n; i += kWarpLanes) largest = fmaxf(largest, scores[i]);
  largest = warp_max(largest);
  for (int i = lane; i < n; i += kWarpLanes) {
    row.probability[i] = softmax ? expf(scores[i] - largest) : 1.0f / (1.0f + expf(-scores[i]));
    sum += row.probability[i];
  }
  const float factor = softmax ? 1.0f / warp_sum(sum) : 1.0f;
  for (int i = lane; i < n; i += kWarpLanes) {
    row.probability[i] *= factor;
    row.merit[i] = row.probability[i] + (args.bias == nullptr ? 0.0f : args.bias[i]);
    row.ranks[i] = rank_of(row.merit[i]);
  }
  __syncwarp();
}

// A group is worth its best expert, or its best two.
__device__ float worth_of(const ChooseExpertsArgs& args, const float* merit, int n) {
  float best = -INFINITY, second = -INFINITY;
  for (int i = 0; i < n; ++i) {
    second = fmaxf(second, fminf(best, merit[i]));
    best = fmaxf(best, merit[i]);
  }
  return args.gate == ExpertGate::kSigmoid && n > 1 ? best + second : best;
}

// Leaves a rank to the experts of the best groups alone.
__device__ void close_groups(const ChooseExpertsArgs& args, const RowMemory& row, int lane) {
  const int groups = static_cast<int>(args.n_groups), n = static_cast<int>(args.n_experts);
  const int size = n / groups;
  for (int g = lane; g < groups; g += kWarpLanes) {
    row.group_ranks[g] = rank_of(worth_of(args, row.merit + g * size, size));
  }
  __syncwarp();
  for (std::int64_t j = 0; j < args.n_groups_used; ++j) take_best(row.group_ranks, groups, lane);
  for (int i = lane; i < n; i += kWarpLanes) {
    if (row.group_ranks[i / size] != 0) row.ranks[i] = 0;
  }
  __syncwarp();
}

__global__ void choose_experts_kernel(ChooseExpertsArgs args, std::int64_t first_row) {
  const std::int64_t number = first_row + blockIdx.x;
  const int lane = static_cast<int>(threadIdx.x), n = static_cast<int>(args.n_experts);
  const RowMemory row = RowMemory::here(args);
  score_experts(args, args.scores + number * args.n_experts, row, lane);
  if (args.n_groups > 1) close_groups(args, row, lane);
  std::int32_t* experts = args.experts + number * args.n_used;
  float* shares = args.shares + number * args.n_used;
  float sum = 0.0f;
  for (std::int64_t j = 0; j < args.n_used; ++j) {
    const int best = take_best(row.ranks, n, lane);
    sum += row.probability[best];
    if (j % kWarpLanes != lane) continue;
    experts[j] = best;
    shares[j] = row.probability[best];
  }
  const float factor = args.normalise ? args.scale / (sum + kLeastShareSum) : args.scale;
  for (std::int64_t j = lane; j < args.n_used; j += kWarpLanes) shares[j] *= factor;
}

void choose_experts(const ChooseExpertsArgs& args, DeviceRange rows) {
  launch(rows.end - rows.begin, kWarpLanes, RowMemory::bytes(args), rows.stream,
         choose_experts_kernel, args, rows.begin);
}

}  // namespace

void add_routing(DeviceOpTable* table) { table->choose_experts = choose_experts; }

}  // namespace windlass

// Attention over pages of keys and values, and the merging of what splits of a context made of it.
#include "kernels/attention.h"
#include "kernels/device_words.h"
#include "kernels/families.h"
#include "kernels/partials.h"
#include "kernels/row_tiles.h"

namespace windlass {
namespace {

void attention(const AttentionArgs& args, DeviceRange range) {
  on_tensor_cores(args) ? attend_in_tiles(args, range) : attend_in_floats(args, range);
}

// Each thread goes through m and l of all splits, which its neighbours read too, and writes one
// element.
__global__ void merge_partials_kernel(MergePartialsArgs args, RowTiles tiles) {
  const auto [row, column] = row_element(tiles);
  if (column >= tiles.width) return;
  const std::int64_t stride = partial_floats(args.value_dim);
  RunningSum sum;
  float out = 0.0f;
  for (std::int64_t s = 0; s < args.n_splits; ++s) {
    const float* partial = args.partials + (s * args.rows + row) * stride;
    const float* max_and_sum = partial + args.value_dim;
    take_in_value(sum.take_in(max_and_sum[0], max_and_sum[1]), partial[column], &out);
  }
  args.out[row * args.value_dim + column] = finished_value(sum.inverse(), out);
}

void merge_partials(const MergePartialsArgs& args, DeviceRange rows) {
  launch_rows(merge_partials_kernel, args, rows, args.value_dim);
}

}  // namespace

void add_attention(DeviceOpTable* table) {
  table->attention = attention;
  table->merge_partials = merge_partials;
}

}  // namespace windlass

// Rows gathered from anywhere, and combined again by their shares.
#include "kernels/device_words.h"
#include "kernels/families.h"
#include "kernels/row_tiles.h"

namespace windlass {
namespace {

__global__ void gather_kernel(GatherRowsArgs args, RowTiles tiles) {
  const auto [row, column] = row_element(tiles);
  if (column >= tiles.width) return;
  args.out[row * args.out_stride + column] = args.in[args.sources[row] * args.in_stride + column];
}

__global__ void combine_kernel(CombineRowsArgs args, RowTiles tiles) {
  const auto [row, column] = row_element(tiles);
  if (column >= tiles.width) return;
  float sum = args.out[row * args.out_stride + column];
  for (std::int64_t j = row * args.n_used; j < (row + 1) * args.n_used; ++j) {
    sum = fmaf(args.shares[j], args.in[args.places[j] * args.in_stride + column], sum);
  }
  args.out[row * args.out_stride + column] = sum;
}

void gather_rows(const GatherRowsArgs& args, DeviceRange rows) {
  launch_rows(gather_kernel, args, rows, args.width);
}

void combine_rows(const CombineRowsArgs& args, DeviceRange rows) {
  launch_rows(combine_kernel, args, rows, args.width);
}

}  // namespace

void add_row_moves(DeviceOpTable* table) {
  table->gather_rows = gather_rows;
  table->combine_rows = combine_rows;
}

}  // namespace windlass

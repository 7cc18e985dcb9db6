// RoPE: a thread for each pair of each head of a token.
#include "kernels/device_words.h"
#include "kernels/families.h"
#include "kernels/row_tiles.h"
#include "kernels/vectors.h"

namespace windlass {
namespace {

// A "row" is a token, a "column" one of its pairs, head after head.
__global__ void rope_kernel(RopeArgs args, RowTiles tiles) {
  const auto [token, column] = row_element(tiles);
  if (column >= tiles.width) return;
  const std::int64_t pairs = args.dims / 2, head = column / pairs, pair = column % pairs;
  const std::int64_t first = args.interleaved ? 2 * pair : pair;
  const std::int64_t second = args.interleaved ? first + 1 : first + pairs;
  const float* in = vector_at(args.x, token, head);
  float* out = vector_at(args.out.data == nullptr ? args.x : args.out, token, head);
  const float c = args.cos[token * pairs + pair], s = args.sin[token * pairs + pair];
  const float a = in[first], b = in[second];
  out[first] = a * c - b * s;
  out[second] = a * s + b * c;
}

void rope(const RopeArgs& args, DeviceRange tokens) {
  launch_rows(rope_kernel, args, tokens, args.heads * (args.dims / 2));
}

}  // namespace

void add_rope(DeviceOpTable* table) { table->rope = rope; }

}  // namespace windlass

// Rows of weights to floats: eight of them a thread.
#include "kernels/device_words.h"
#include "kernels/families.h"
#include "kernels/formats/decoded_types.h"
#include "kernels/row_tiles.h"

namespace windlass {
namespace {

// A "column" is a part of eight weights.
template <DType kType>
__global__ void dequantize_kernel(DequantizeRowsArgs args, RowTiles tiles) {
  const auto [row, part] = row_element(tiles);
  if (part >= tiles.width) return;
  float w[8];
  const auto* from = reinterpret_cast<const std::uint8_t*>(args.rows[row]);
  const WeightRuns runs = decode_eight<kType>(from, part, args.width, w);
  float* out = args.out + row * args.width;
  for (int j = 0; j < 4; ++j) {
    if (!kIsFloat<kType> || runs.first + j < args.width) out[runs.first + j] = w[j];
    if (!kIsFloat<kType> || runs.second + j < args.width) out[runs.second + j] = w[4 + j];
  }
}

template <DType kType>
void dequantize_rows(const DequantizeRowsArgs& args, DeviceRange rows) {
  launch_rows(dequantize_kernel<kType>, args, rows, (args.width + 7) / 8);
}

}  // namespace

void add_dequantize(DeviceOpTable* table) {
  for_each_decoded_type([&]<DType kType>() {
    table->dequantize_rows[static_cast<int>(kType)] = dequantize_rows<kType>;
  });
}

}  // namespace windlass

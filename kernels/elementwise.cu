// Activations, sums and scales: each element by itself.
#include "kernels/device_words.h"
#include "kernels/families.h"
#include "kernels/row_tiles.h"

namespace windlass {
namespace {

template <Activation kActivation>
__device__ float activated(float x) {
  if constexpr (kActivation == Activation::kSilu) return x / (1.0f + expf(-x));
  if constexpr (kActivation == Activation::kGeluErf) {
    return 0.5f * x * erfcf(-0.70710678f * x);  // 1 / sqrt(2)
  }
  if constexpr (kActivation == Activation::kRelu) return x < 0.0f ? 0.0f : x;  // NaN stays
  // (1 + tanh(u)) / 2 = 1 / (1 + e^-2u): no difference of near numbers. 1.5957691 = 2 sqrt(2 / pi).
  const float twice_u = 1.5957691f * fmaf(0.044715f * x * x, x, x);
  return x / (1.0f + expf(-twice_u));
}

template <Activation kActivation>
__global__ void activate_kernel(ActivateArgs args, RowTiles tiles) {
  const auto [row, column] = row_element(tiles);
  if (column >= tiles.width) return;
  const float y = activated<kActivation>(args.in[row * args.in_stride + column]);
  const float up = args.up == nullptr ? 1.0f : args.up[row * args.up_stride + column];
  args.out[row * args.out_stride + column] = y * up;
}

__global__ void add_kernel(AddArgs args, RowTiles tiles) {
  const auto [row, column] = row_element(tiles);
  if (column >= tiles.width) return;
  args.out[row * args.out_stride + column] += args.in[row * args.in_stride + column];
}

__global__ void scale_kernel(ScaleArgs args, RowTiles tiles) {
  const auto [row, column] = row_element(tiles);
  if (column >= tiles.width) return;
  float& x = args.x[row * args.stride + column];
  const float scaled = args.scale * x;
  x = args.soft_cap > 0.0f ? args.soft_cap * tanhf(scaled / args.soft_cap) : scaled;
}

template <auto kKernel, class Args>
void by_element(const Args& args, DeviceRange rows) {
  launch_rows(kKernel, args, rows, args.width);
}

template <Activation kActivation>
void add_activation(DeviceOpTable* table) {
  table->activate[static_cast<int>(kActivation)] =
      by_element<activate_kernel<kActivation>, ActivateArgs>;
}

}  // namespace

void add_elementwise(DeviceOpTable* table) {
  add_activation<Activation::kSilu>(table);
  add_activation<Activation::kGeluTanh>(table);
  add_activation<Activation::kGeluErf>(table);
  add_activation<Activation::kRelu>(table);
  table->add = by_element<add_kernel, AddArgs>;
  table->scale = by_element<scale_kernel, ScaleArgs>;
}

}  // namespace windlass

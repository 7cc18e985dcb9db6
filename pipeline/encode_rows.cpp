#include "pipeline/encode_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "src/base/half.h"
#include "src/quant/encode.h"

namespace windlass {
namespace {

constexpr std::int64_t kTile = 2048;  // weights: whole blocks of every type, 8 KiB

void widen(DType from, const std::byte* in, std::int64_t stride, std::int64_t n, float* out) {
  if (from == DType::kF32 && stride == sizeof(float)) {
    std::memcpy(out, in, static_cast<std::size_t>(n) * sizeof(float));
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    if (from == DType::kF32) {
      std::memcpy(out + i, in + i * stride, sizeof(float));
      continue;
    }
    std::uint16_t bits;
    std::memcpy(&bits, in + i * stride, sizeof bits);
    out[i] = from == DType::kF16 ? f32_from_f16(bits) : f32_from_bf16(bits);
  }
}

bool all_within(const float* x, std::int64_t n, float largest) {
  bool within = true;
  for (std::int64_t i = 0; i < n; ++i) within &= std::abs(x[i]) <= largest;  // false for NaN
  return within;
}

}  // namespace

void encode_rows(const EncodeRowsArgs& args, WorkRange range) {
  float tile[kTile];
  const bool holds_all = args.to == DType::kF32 || args.to == DType::kBF16;
  const std::int64_t stride = args.in->weight_stride;
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    const std::byte* in = args.in->row(row);
    std::byte* out = args.out + row * args.out_row_bytes;
    for (std::int64_t i = 0; i < args.width; i += kTile) {
      const std::int64_t n = std::min(kTile, args.width - i);
      widen(args.in->type, in + i * stride, stride, n, tile);
      if (args.offset != 0) {
        for (std::int64_t j = 0; j < n; ++j) tile[j] += args.offset;
      }
      if (!holds_all && !all_within(tile, n, kLargestHalf)) {
        args.bad_row->store(row, std::memory_order_relaxed);
        break;
      }
      encode_row(args.to, tile, n, out + row_bytes(args.to, i));
    }
  }
}

}  // namespace windlass

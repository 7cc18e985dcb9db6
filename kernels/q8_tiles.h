// Tiles of quantised weights and q8 activations on tensor cores: what the kernels of
// matmul_q8_tiles have in common. A warp has kRowTiles * 16 rows and up to kTokenTiles * 8 tokens.
// Each of its lanes makes the codes that the product wants of it right from the weights' bytes,
// into registers (MARLIN, arXiv 2408.11743, does so with 4-bit weights; theirs are shuffled for
// that beforehand, ours are the file's own): lane 4g + t has codes 4t to 4t + 3 and 16 more on of
// rows g and g + 8, which is what Decoder::codes gives. Integer sums of 32 weights, or of 16, leave
// the tensor core and are scaled as q8_dot.h says, so that bits are those of matvec_q8.cu.
//
// Types differ by what makes codes and scales, a branch that all lanes take alike; the rest is
// compiled for the four kinds of scales and offsets that there are.
#pragma once

#include "kernels/formats/decoded_types.h"
#include "kernels/mma_words.h"
#include "kernels/q8_dot.h"
#include "kernels/tile_rows.h"

namespace windlass {

template <int kGroups_, bool kHasOffset_>
struct Q8Kind {
  static constexpr int kGroups = kGroups_;
  static constexpr bool kHasOffset = kHasOffset_;

  template <DType kType>
  static constexpr bool kIsOf =
      Decoder<kType>::kGroups == kGroups&& Decoder<kType>::kHasOffset == kHasOffset;
};

// 32 weights of rows g and g + 8 of 16, as the lane's fragment.
template <class Kind>
struct RowTile {
  std::uint32_t codes[4];
  ScaledGroup groups[2][Kind::kGroups];
};

// Of part `part` of the rows' staged pieces.
template <class Kind>
__device__ void load_row_tile(DType type, const SharedBytes& row_g, const SharedBytes& row_g_8,
                              int part, RowTile<Kind>* tile) {
  const int t = static_cast<int>(threadIdx.x % 4);
  Int8Types::for_one(type, [&]<DType kType>() {
    if constexpr (Kind::template kIsOf<kType>) {
      using Type = Decoder<kType>;
      constexpr int kParts = Type::kWeights / 32;
      for (int i = 0; i < 2; ++i) {
        const SharedBytes block = (i == 0 ? row_g : row_g_8) + part / kParts * Type::kBytes;
        const CodePair codes = Type::codes(block, part % kParts, t);
        tile->codes[i] = codes.low;
        tile->codes[2 + i] = codes.high;
        for (int half = 0; half < Kind::kGroups; ++half) {
          tile->groups[i][half] = scaled_group(Type::group(block, part % kParts, half));
        }
      }
    }
  });
}

// Adds the product of a row tile and block `block` of tokens [8 * n, 8 * n + 8) to the lane's four
// sums: rows g and g + 8 by tokens 2t and 2t + 1, as the product's result has them.
template <class Kind>
__device__ void add_tile(const RowTile<Kind>& tile, const std::uint32_t (&codes)[2],
                         const Q8Scales (&scales)[2], float* sums) {
  WINDLASS_UNROLL
  for (int half = 0; half < Kind::kGroups; ++half) {
    std::int32_t dots[4] = {kQ8Magic, kQ8Magic, kQ8Magic, kQ8Magic};
    if constexpr (Kind::kGroups == 1) {
      multiply_bytes(dots, tile.codes, codes[0], codes[1]);
    } else {
      multiply_bytes(dots, tile.codes[2 * half], tile.codes[2 * half + 1], codes[half]);
    }
    WINDLASS_UNROLL
    for (int i = 0; i < 4; ++i) {
      sums[i] = add_dot<Kind::kGroups, Kind::kHasOffset>(sums[i], dots[i], tile.groups[i / 2][half],
                                                         scales[i % 2], half);
    }
  }
}

// Adds the products of `parts` parts, from `first_part` of the staged rows and from the first block
// of the tokens. rows: those of the lane, g and g + 8 of each row tile. sums[row tile][token tile].
template <class Kind, int kRowTiles>
__device__ void add_parts(DType type, const SharedBytes (&rows)[2 * kRowTiles], int first_part,
                          int parts, const TileTokens& x,
                          float (&sums)[kRowTiles][kTokenTiles][4]) {
  const int lane = static_cast<int>(threadIdx.x % kWarpLanes), g = lane / 4, t = lane % 4;
  for (int b = 0; b < parts; ++b) {
    RowTile<Kind> tiles[kRowTiles];
    WINDLASS_UNROLL
    for (int m = 0; m < kRowTiles; ++m) {
      load_row_tile<Kind>(type, rows[2 * m], rows[2 * m + 1], first_part + b, &tiles[m]);
    }
    const std::byte* block = x.first + b * x.part_bytes;
    WINDLASS_UNROLL
    for (int n = 0; n < kTokenTiles; ++n) {
      if (8 * n > x.last) continue;
      const auto token = [&](int i) { return block + min(8 * n + i, x.last) * x.token_bytes; };
      const auto* values = reinterpret_cast<const std::uint32_t*>(token(g));
      const std::uint32_t codes[2] = {values[t], values[4 + t]};
      const Q8Scales scales[2] = {q8_scales<Kind::kHasOffset>(token(2 * t)),
                                  q8_scales<Kind::kHasOffset>(token(2 * t + 1))};
      WINDLASS_UNROLL
      for (int m = 0; m < kRowTiles; ++m) add_tile<Kind>(tiles[m], codes, scales, sums[m][n]);
    }
  }
}

}  // namespace windlass

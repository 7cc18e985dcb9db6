#include "cpu_kernels/isa_tables.h"
#include "cpu_kernels/matmul_tiles_inl.h"
#include "cpu_kernels/simd_avx512vnni.h"
#include "src/ops/op_table.h"
#include "src/ops/weight_types.h"

namespace windlass {
namespace {

// Tiles pay where a panel does.
template <DType kType>
void amx_matmul_q8(const MatMulArgs& args, WorkRange range) {
  if (args.n_tokens <= kThinTokens<Avx512Vnni, kType>) {
    return matmul_q8<Avx512Vnni, kType>(args, range);
  }
  tile_matmul_q8<Avx512Vnni, kType, AmxTiles>(args, range);
}

// Types with a scale for 16 weights stay with the base: a tile's products would be a quarter of
// what it can do, and scaling them twice the work.
template <int kRow = 0>
constexpr void add_tile_products(OpTable* table) {
  if constexpr (kRow < sizeof kWeightTypes / sizeof kWeightTypes[0]) {
    constexpr DType kType = kWeightTypes[kRow].type;
    if constexpr (kWeightTypes[kRow].int8) {
      if constexpr (Format<kType>::kScaleWeights == 32) {
        table->matmul_q8[static_cast<int>(kType)] = amx_matmul_q8<kType>;
      }
    }
    add_tile_products<kRow + 1>(table);
  }
}

constexpr OpTable make_amx_table() {
  OpTable table = {};
  table.name = "amx";
  add_tile_products(&table);
  table.matmul_bf16[static_cast<int>(DType::kBF16)] = tile_matmul_bf16<Avx512Vnni, AmxTiles>;
  return table;
}

}  // namespace

// Constant-initialised: code of this file must not run at start-up, when nobody has asked whether
// the CPU can.
constinit const OpTable kAmxTable = make_amx_table();

}  // namespace windlass

// The op table of a vector layer. For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/activation_inl.h"
#include "cpu_kernels/attention_inl.h"
#include "cpu_kernels/burst_inl.h"
#include "cpu_kernels/elementwise_inl.h"
#include "cpu_kernels/kv_append_inl.h"
#include "cpu_kernels/matmul_f32_inl.h"
#include "cpu_kernels/matmul_q8_inl.h"
#include "cpu_kernels/matmul_transposed_inl.h"
#include "cpu_kernels/routing_inl.h"
#include "src/ops/op_table.h"
#include "src/ops/weight_types.h"

namespace windlass {
namespace {

// Of the rows of kWeightTypes from kRow on.
template <class V, int kRow = 0>
constexpr void add_q8_products(OpTable* table) {
  if constexpr (kRow < sizeof kWeightTypes / sizeof kWeightTypes[0]) {
    constexpr DType kType = kWeightTypes[kRow].type;
    if constexpr (kWeightTypes[kRow].int8) {
      table->matmul_q8[static_cast<int>(kType)] = matmul_q8<V, kType>;
    }
    add_q8_products<V, kRow + 1>(table);
  }
}

template <class V, int kRow = 0>
constexpr void add_float_products(OpTable* table) {
  if constexpr (kRow < sizeof kWeightTypes / sizeof kWeightTypes[0]) {
    constexpr DType kType = kWeightTypes[kRow].type;
    constexpr int kIndex = static_cast<int>(kType);
    table->matmul_f32[kIndex] = matmul_f32<V, kType>;
    table->dequantize_rows[kIndex] = dequantize_rows<V, kType>;
    table->matmul_transposed[kIndex] = matmul_transposed<V, kType>;
    add_float_products<V, kRow + 1>(table);
  }
}

template <class V>
constexpr OpTable make_table(const char* name) {
  OpTable table = {};
  table.name = name;
  table.rms_norm = rms_norm<V>;
  table.layer_norm = layer_norm<V>;
  table.quantize_rows = quantize_rows<V>;
  table.rope = rope<V>;
  table.activate[static_cast<int>(Activation::kSilu)] = activate<V, Silu>;
  table.activate[static_cast<int>(Activation::kGeluTanh)] = activate<V, GeluTanh>;
  table.activate[static_cast<int>(Activation::kGeluErf)] = activate<V, GeluErf>;
  table.activate[static_cast<int>(Activation::kRelu)] = activate<V, Relu>;
  table.add = add<V>;
  table.scale = scale<V>;
  table.kv_append = kv_append<V>;
  table.attention = attention<V>;
  table.merge_partials = merge_partials<V>;
  table.choose_experts = choose_experts<V>;
  table.gather_rows = gather_rows<V>;
  table.combine_rows = combine_rows<V>;
  table.burst_f32 = burst<BurstF32<V>>;
  table.burst_int8 = burst<BurstInt8<V>>;
  add_q8_products<V>(&table);
  add_float_products<V>(&table);
  return table;
}

// Of a set that differs from its base in integer products alone.
template <class V>
constexpr OpTable make_q8_table(const char* name) {
  OpTable table = {};
  table.name = name;
  table.burst_int8 = burst<BurstInt8<V>>;
  add_q8_products<V>(&table);
  return table;
}

}  // namespace
}  // namespace windlass

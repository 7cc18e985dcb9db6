// The op table of a vector layer. For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/attention_inl.h"
#include "cpu_kernels/elementwise_inl.h"
#include "cpu_kernels/matmul_f32_inl.h"
#include "cpu_kernels/matmul_q8_inl.h"
#include "src/ops/op_table.h"

namespace windlass {
namespace {

template <class V, class Format>
constexpr void add_format(OpTable* table, DType type) {
  const int row = static_cast<int>(type);
  table->matmul_f32[row] = matmul_f32<V, Format>;
  table->dequantize_rows[row] = dequantize_rows<V, Format>;
  if constexpr (Format::kBlockWeights == 32) table->matmul_q8[row] = matmul_q8<V, Format>;
}

template <class V>
constexpr OpTable make_table(const char* name) {
  OpTable table = {};
  table.name = name;
  table.rms_norm = rms_norm<V>;
  table.quantize_rows = quantize_rows<V>;
  table.rope = rope<V>;
  table.swiglu = swiglu<V>;
  table.kv_append[static_cast<int>(KvType::kF16)] = kv_append<V, KvF16>;
  table.kv_append[static_cast<int>(KvType::kF32)] = kv_append<V, KvF32>;
  table.attention[static_cast<int>(KvType::kF16)] = attention<V, KvF16>;
  table.attention[static_cast<int>(KvType::kF32)] = attention<V, KvF32>;
  add_format<V, FormatF32>(&table, DType::kF32);
  add_format<V, FormatF16>(&table, DType::kF16);
  add_format<V, FormatBf16>(&table, DType::kBF16);
  add_format<V, FormatQ4_0>(&table, DType::kQ4_0);
  add_format<V, FormatQ4_1>(&table, DType::kQ4_1);
  add_format<V, FormatQ8_0>(&table, DType::kQ8_0);
  return table;
}

}  // namespace
}  // namespace windlass

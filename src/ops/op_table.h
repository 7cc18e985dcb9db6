// One row of function pointers per backend and ISA: the only way the pipeline reaches a kernel. A null row means "not here",
// and the planner sees it.
#pragma once

#include "src/base/dtype.h"
#include "src/ops/op_args.h"

namespace windlass {

struct OpTable {
  const char* name;  // "avx512vnni"
  void (*rms_norm)(const NormArgs&, WorkRange);
  void (*layer_norm)(const NormArgs&, WorkRange);
  void (*quantize_rows)(const QuantizeRowsArgs&, WorkRange);
  void (*round_rows)(const QuantizeRowsArgs&, WorkRange);  // to bf16; null where matmul_bf16 is all null
  void (*rope)(const RopeArgs&, WorkRange);
  void (*activate[kActivationCount])(const ActivateArgs&, WorkRange);
  void (*add)(const AddArgs&, WorkRange);
  void (*scale)(const ScaleArgs&, WorkRange);
  void (*kv_append)(const KvAppendArgs&, WorkRange);
  void (*attention)(const AttentionArgs&, WorkRange);
  void (*merge_partials)(const MergePartialsArgs&, WorkRange);
  void (*choose_experts)(const ChooseExpertsArgs&, WorkRange);
  void (*gather_rows)(const GatherRowsArgs&, WorkRange);
  void (*combine_rows)(const CombineRowsArgs&, WorkRange);
  void (*burst_int8)(const BurstArgs&, WorkRange);
  void (*burst_f32)(const BurstArgs&, WorkRange);
  // Indexed by DType.
  void (*matmul_f32[kDTypeCount])(const MatMulArgs&, WorkRange);  // f32 activations
  void (*matmul_q8[kDTypeCount])(const MatMulArgs&, WorkRange);   // q8 activations; null where weight_types.h says so
  void (*matmul_bf16[kDTypeCount])(const MatMulArgs&, WorkRange);  // bf16 activations; null but for BF16, and on most ISAs
  void (*matmul_transposed[kDTypeCount])(const MatMulTransposedArgs&, WorkRange);
  void (*dequantize_rows[kDTypeCount])(const DequantizeRowsArgs&, WorkRange);
};

}  // namespace windlass

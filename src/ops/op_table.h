// One row of function pointers per backend and ISA: the only way the pipeline reaches a kernel. A null row means "not here",
// and the planner sees it.
#pragma once

#include "src/base/dtype.h"
#include "src/ops/op_args.h"

namespace windlass {

// Where says which items of an op a call does, and where: of the CPU WorkRange, of a GPU DeviceRange (kernels/op_table.h).
template <class Where>
struct OpTableOf {
  const char* name;  // "avx512vnni"
  void (*rms_norm)(const NormArgs&, Where);
  void (*layer_norm)(const NormArgs&, Where);
  void (*quantize_rows)(const QuantizeRowsArgs&, Where);
  void (*round_rows)(const QuantizeRowsArgs&, Where);  // to bf16; null where matmul_bf16 is all null
  void (*rope)(const RopeArgs&, Where);
  void (*activate[kActivationCount])(const ActivateArgs&, Where);
  void (*add)(const AddArgs&, Where);
  void (*scale)(const ScaleArgs&, Where);
  void (*kv_append)(const KvAppendArgs&, Where);
  void (*attention)(const AttentionArgs&, Where);
  void (*merge_partials)(const MergePartialsArgs&, Where);
  void (*choose_experts)(const ChooseExpertsArgs&, Where);
  void (*gather_rows)(const GatherRowsArgs&, Where);
  void (*combine_rows)(const CombineRowsArgs&, Where);
  void (*burst_int8)(const BurstArgs&, Where);
  void (*burst_f32)(const BurstArgs&, Where);
  // Indexed by DType.
  void (*matmul_f32[kDTypeCount])(const MatMulArgs&, Where);  // f32 activations
  void (*matmul_q8[kDTypeCount])(const MatMulArgs&, Where);   // q8 activations; null where weight_types.h says so
  void (*matmul_bf16[kDTypeCount])(const MatMulArgs&, Where);  // bf16 activations; null but for BF16, and on most ISAs
  void (*matmul_transposed[kDTypeCount])(const MatMulTransposedArgs&, Where);
  void (*dequantize_rows[kDTypeCount])(const DequantizeRowsArgs&, Where);
};

using OpTable = OpTableOf<WorkRange>;

}  // namespace windlass

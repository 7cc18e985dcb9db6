// Which rows the op tables have: what the contract tests pass over is meant to be missing.
#include <algorithm>

#include "cpu_kernels/op_table.h"
#include "kernels/op_table.h"
#include "tests/op_tables/backends.h"

namespace windlass::test {
namespace {

template <class Rows>
std::vector<DType> types_with(const Rows& rows) {
  std::vector<DType> types;
  for (const WeightType& row : kWeightTypes) {
    if (rows[static_cast<int>(row.type)] != nullptr) types.push_back(row.type);
  }
  return types;
}

}  // namespace

TEST_CASE("every instruction set has every row, but for bf16 and integer products") {
  for (const Backend& backend : backends()) {
    if (backend.is_gpu) continue;
    const OpTable& ops = backend.ops;
    INFO(backend.name);
    CHECK((ops.rms_norm && ops.layer_norm && ops.quantize_rows && ops.rope && ops.add));
    CHECK((ops.scale && ops.kv_append && ops.attention && ops.merge_partials));
    CHECK((ops.choose_experts && ops.gather_rows && ops.combine_rows && ops.burst_f32));
    CHECK(std::count(std::begin(ops.activate), std::end(ops.activate), nullptr) == 0);
    CHECK(types_with(ops.matmul_f32) == matmul_types());
    CHECK(types_with(ops.matmul_q8) == int8_types());
    CHECK(types_with(ops.matmul_transposed) == matmul_types());
    CHECK(types_with(ops.dequantize_rows) == matmul_types());
  }
}

TEST_CASE("the GPU has the rows that it is known to have") {
  const DeviceOpTable* ops = gpu_op_table();
  REQUIRE(ops != nullptr);
  CHECK((ops->rms_norm && ops->layer_norm && ops->quantize_rows && ops->rope && ops->add));
  CHECK((ops->scale && ops->kv_append && ops->gather_rows && ops->combine_rows));
  CHECK((ops->attention && ops->merge_partials && ops->choose_experts));
  CHECK(std::count(std::begin(ops->activate), std::end(ops->activate), nullptr) == 0);
  const std::vector<DType> decoded = {
      DType::kF32,  DType::kF16,    DType::kBF16,   DType::kQ4_0,  DType::kQ4_1, DType::kQ5_0,
      DType::kQ5_1, DType::kQ8_0,   DType::kQ2_K,   DType::kQ3_K,  DType::kQ4_K, DType::kQ5_K,
      DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS, DType::kMXFP4, DType::kNVFP4};
  CHECK(types_with(ops->matmul_f32) == decoded);
  CHECK(types_with(ops->dequantize_rows) == decoded);
  const std::vector<DType> numbers = {DType::kF32, DType::kF16, DType::kBF16};
  CHECK(types_with(ops->matmul_transposed) == numbers);
  CHECK(std::any_of(backends().begin(), backends().end(),
                    [](const Backend& b) { return b.is_gpu && b.ops.rms_norm != nullptr; }));
}

}  // namespace windlass::test

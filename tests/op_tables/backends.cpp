#include "tests/op_tables/backends.h"

#include <cstdlib>
#include <utility>

#include "src/base/check.h"
#include "tests/cpu_kernels/isa_sweep.h"
#include "tests/op_tables/gpu.h"

namespace windlass::test {
namespace {

// The GPU's row, then a wait.
template <auto kRow, class Args>
void run(const Args& args, WorkRange range) {
  (gpu_op_table()->*kRow)(args, on_gpu(range));
  wait_for_gpu();
}

template <auto kRows, std::size_t kIndex, class Args>
void run_indexed(const Args& args, WorkRange range) {
  (gpu_op_table()->*kRows)[kIndex](args, on_gpu(range));
  wait_for_gpu();
}

template <auto kRow, class Args>
void add_row(void (*&row)(const Args&, WorkRange)) {
  if (gpu_op_table()->*kRow != nullptr) row = run<kRow, Args>;
}

template <auto kRows, class Args, std::size_t kCount>
void add_rows(void (*(&rows)[kCount])(const Args&, WorkRange)) {
  [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
    const auto& from = gpu_op_table()->*kRows;
    ((rows[kIndex] = from[kIndex] != nullptr ? run_indexed<kRows, kIndex, Args> : nullptr), ...);
  }
  (std::make_index_sequence<kCount>());
}

OpTable synchronous_gpu() {
  using Gpu = DeviceOpTable;
  OpTable table = {};
  table.name = gpu_op_table()->name;
  add_row<&Gpu::rms_norm>(table.rms_norm);
  add_row<&Gpu::layer_norm>(table.layer_norm);
  add_row<&Gpu::quantize_rows>(table.quantize_rows);
  add_row<&Gpu::round_rows>(table.round_rows);
  add_row<&Gpu::rope>(table.rope);
  add_rows<&Gpu::activate>(table.activate);
  add_row<&Gpu::add>(table.add);
  add_row<&Gpu::scale>(table.scale);
  add_row<&Gpu::kv_append>(table.kv_append);
  add_row<&Gpu::attention>(table.attention);
  add_row<&Gpu::merge_partials>(table.merge_partials);
  add_row<&Gpu::choose_experts>(table.choose_experts);
  add_row<&Gpu::gather_rows>(table.gather_rows);
  add_row<&Gpu::combine_rows>(table.combine_rows);
  add_row<&Gpu::burst_int8>(table.burst_int8);
  add_row<&Gpu::burst_f32>(table.burst_f32);
  add_rows<&Gpu::matmul_f32>(table.matmul_f32);
  add_rows<&Gpu::matmul_q8>(table.matmul_q8);
  add_rows<&Gpu::matmul_bf16>(table.matmul_bf16);
  add_rows<&Gpu::matmul_transposed>(table.matmul_transposed);
  add_rows<&Gpu::dequantize_rows>(table.dequantize_rows);
  return table;
}

}  // namespace

const std::vector<Backend>& backends() {
  static const std::vector<Backend> all = [] {
    std::vector<Backend> list;
    for (const Isa isa : present_isas()) list.push_back({isa_name(isa), cpu_op_table(isa), false});
    list.push_back({gpu_op_table()->name, synchronous_gpu(), true});
    if (const char* one = std::getenv("WINDLASS_TEST_BACKEND")) {
      std::erase_if(list, [&](const Backend& backend) { return backend.name != one; });
      WINDLASS_CHECK(!list.empty(), one);
    }
    return list;
  }();
  return all;
}

}  // namespace windlass::test

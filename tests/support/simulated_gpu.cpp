#include "tests/support/simulated_gpu.h"

#include <utility>

#include "src/base/check.h"

namespace windlass::test {
namespace {

SimulatedGpu* the_gpu = nullptr;

// `kRow` of the CPU's table, as a kernel.
template <auto kRow, typename Args>
void launch_row(const Args& args, DeviceRange range) {
  SimulatedGpu& gpu = SimulatedGpu::current();
  gpu.launch(gpu.cpu_ops().*kRow, args, range);
}

template <auto kRows, int kIndex, typename Args>
void launch_indexed(const Args& args, DeviceRange range) {
  SimulatedGpu& gpu = SimulatedGpu::current();
  gpu.launch((gpu.cpu_ops().*kRows)[kIndex], args, range);
}

template <auto kRow, typename Args>
void fill(const OpTable& cpu, void (*&row)(const Args&, DeviceRange)) {
  if (cpu.*kRow != nullptr) row = launch_row<kRow, Args>;
}

template <auto kRows, int kCount, typename Args>
void fill(const OpTable& cpu, void (*(&rows)[kCount])(const Args&, DeviceRange)) {
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) {
    ((rows[kIndex] =
          (cpu.*kRows)[kIndex] != nullptr ? launch_indexed<kRows, kIndex, Args> : nullptr),
     ...);
  }
  (std::make_integer_sequence<int, kCount>());
}

}  // namespace

SimulatedGpu& SimulatedGpu::current() {
  WINDLASS_CHECK(the_gpu != nullptr);
  return *the_gpu;
}

SimulatedGpu::SimulatedGpu(EventClock& clock, const SimulatedGpuOptions& options,
                           const OpTable& ops)
    : device_(clock, options.device), kernel_s_(options.kernel_s), cpu_ops_(ops) {
  WINDLASS_CHECK(the_gpu == nullptr);
  the_gpu = this;
  table_.name = "simulated";
  fill<&OpTable::rms_norm>(ops, table_.rms_norm);
  fill<&OpTable::layer_norm>(ops, table_.layer_norm);
  fill<&OpTable::quantize_rows>(ops, table_.quantize_rows);
  fill<&OpTable::round_rows>(ops, table_.round_rows);
  fill<&OpTable::rope>(ops, table_.rope);
  fill<&OpTable::activate>(ops, table_.activate);
  fill<&OpTable::add>(ops, table_.add);
  fill<&OpTable::scale>(ops, table_.scale);
  fill<&OpTable::kv_append>(ops, table_.kv_append);
  fill<&OpTable::attention>(ops, table_.attention);
  fill<&OpTable::merge_partials>(ops, table_.merge_partials);
  fill<&OpTable::gather_rows>(ops, table_.gather_rows);
  fill<&OpTable::matmul_f32>(ops, table_.matmul_f32);
  fill<&OpTable::matmul_q8>(ops, table_.matmul_q8);
  fill<&OpTable::matmul_bf16>(ops, table_.matmul_bf16);
  fill<&OpTable::matmul_transposed>(ops, table_.matmul_transposed);
  fill<&OpTable::dequantize_rows>(ops, table_.dequantize_rows);
}

SimulatedGpu::~SimulatedGpu() { the_gpu = nullptr; }

}  // namespace windlass::test

#include "tests/support/simulated_gpu.h"

#include <utility>

#include "src/base/check.h"

namespace windlass::test {
namespace {

SimulatedGpu* the_gpu = nullptr;

// A row of either table, as a kernel of the simulated device. kCpu and kGpu name the same row.
template <auto kCpu, auto kGpu, typename Args>
void launch_row(const Args& args, DeviceRange range) {
  SimulatedGpu& gpu = SimulatedGpu::current();
  gpu.launch(range.stream, [&gpu, args, range] {
    if (gpu.cpu_ops() != nullptr) return (gpu.cpu_ops()->*kCpu)(args, {range.begin, range.end});
    gpu.run(gpu.kernels()->*kGpu, args, range);
  });
}

template <auto kCpu, auto kGpu, int kIndex, typename Args>
void launch_indexed(const Args& args, DeviceRange range) {
  SimulatedGpu& gpu = SimulatedGpu::current();
  gpu.launch(range.stream, [&gpu, args, range] {
    if (gpu.cpu_ops() != nullptr) {
      return (gpu.cpu_ops()->*kCpu)[kIndex](args, {range.begin, range.end});
    }
    gpu.run((gpu.kernels()->*kGpu)[kIndex], args, range);
  });
}

template <auto kCpu, auto kGpu, typename Args>
void fill(const SimulatedGpu& gpu, void (*&row)(const Args&, DeviceRange)) {
  const bool is_there =
      gpu.cpu_ops() != nullptr ? gpu.cpu_ops()->*kCpu != nullptr : gpu.kernels()->*kGpu != nullptr;
  if (is_there) row = launch_row<kCpu, kGpu, Args>;
}

template <auto kCpu, auto kGpu, int kCount, typename Args>
void fill(const SimulatedGpu& gpu, void (*(&rows)[kCount])(const Args&, DeviceRange)) {
  const auto is_there = [&](int index) {
    return gpu.cpu_ops() != nullptr ? (gpu.cpu_ops()->*kCpu)[index] != nullptr
                                    : (gpu.kernels()->*kGpu)[index] != nullptr;
  };
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) {
    ((rows[kIndex] = is_there(kIndex) ? launch_indexed<kCpu, kGpu, kIndex, Args> : nullptr), ...);
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
    : device_(clock, options.device), kernel_s_(options.kernel_s), cpu_ops_(&ops) {
  fill_table();
}

SimulatedGpu::SimulatedGpu(EventClock& clock, const SimulatedGpuOptions& options,
                           const DeviceOpTable& kernels, Stream stream, std::function<void()> wait)
    : device_(clock, options.device),
      kernel_s_(options.kernel_s),
      kernels_(&kernels),
      stream_(stream),
      wait_(std::move(wait)) {
  fill_table();
}

void SimulatedGpu::fill_table() {
  WINDLASS_CHECK(the_gpu == nullptr);
  the_gpu = this;
  table_.name = "simulated";
  fill<&OpTable::rms_norm, &DeviceOpTable::rms_norm>(*this, table_.rms_norm);
  fill<&OpTable::layer_norm, &DeviceOpTable::layer_norm>(*this, table_.layer_norm);
  fill<&OpTable::quantize_rows, &DeviceOpTable::quantize_rows>(*this, table_.quantize_rows);
  fill<&OpTable::round_rows, &DeviceOpTable::round_rows>(*this, table_.round_rows);
  fill<&OpTable::rope, &DeviceOpTable::rope>(*this, table_.rope);
  fill<&OpTable::activate, &DeviceOpTable::activate>(*this, table_.activate);
  fill<&OpTable::add, &DeviceOpTable::add>(*this, table_.add);
  fill<&OpTable::scale, &DeviceOpTable::scale>(*this, table_.scale);
  fill<&OpTable::kv_append, &DeviceOpTable::kv_append>(*this, table_.kv_append);
  fill<&OpTable::attention, &DeviceOpTable::attention>(*this, table_.attention);
  fill<&OpTable::merge_partials, &DeviceOpTable::merge_partials>(*this, table_.merge_partials);
  fill<&OpTable::gather_rows, &DeviceOpTable::gather_rows>(*this, table_.gather_rows);
  fill<&OpTable::matmul_f32, &DeviceOpTable::matmul_f32>(*this, table_.matmul_f32);
  fill<&OpTable::matmul_q8, &DeviceOpTable::matmul_q8>(*this, table_.matmul_q8);
  fill<&OpTable::matmul_bf16, &DeviceOpTable::matmul_bf16>(*this, table_.matmul_bf16);
  fill<&OpTable::matmul_transposed, &DeviceOpTable::matmul_transposed>(*this,
                                                                       table_.matmul_transposed);
  fill<&OpTable::dequantize_rows, &DeviceOpTable::dequantize_rows>(*this, table_.dequantize_rows);
}

SimulatedGpu::~SimulatedGpu() { the_gpu = nullptr; }

}  // namespace windlass::test

// A GPU for tests of the pipeline: the simulated device, and an op table whose kernels are the
// CPU's and run when the device's compute engine has come to them.
#pragma once

#include "kernels/op_table.h"
#include "src/device/simulated_device.h"
#include "src/ops/op_table.h"

namespace windlass::test {

struct SimulatedGpuOptions {
  SimulatedDeviceOptions device;
  double kernel_s = 5e-6;  // of any kernel
};

// One at a time: functions of an op table know only their stream.
class SimulatedGpu {
 public:
  // `ops` lives longer.
  SimulatedGpu(EventClock& clock, const SimulatedGpuOptions& options, const OpTable& ops);
  ~SimulatedGpu();
  SimulatedGpu(const SimulatedGpu&) = delete;
  SimulatedGpu& operator=(const SimulatedGpu&) = delete;

  SimulatedDevice& device() { return device_; }
  // A row is null where the CPU's is.
  const DeviceOpTable& ops() const { return table_; }
  std::int64_t n_kernels() const { return n_kernels_; }

  // Puts a kernel on the stream: what `function` does with the items.
  template <typename Args>
  void launch(void (*function)(const Args&, WorkRange), const Args& args, DeviceRange range) {
    ++n_kernels_;
    device_.run(range.stream, kernel_s_, [function, args, range] {
      function(args, {range.begin, range.end});
    });
  }
  const OpTable& cpu_ops() const { return cpu_ops_; }
  static SimulatedGpu& current();

 private:
  SimulatedDevice device_;
  double kernel_s_;
  const OpTable& cpu_ops_;
  DeviceOpTable table_ = {};
  std::int64_t n_kernels_ = 0;
};

}  // namespace windlass::test

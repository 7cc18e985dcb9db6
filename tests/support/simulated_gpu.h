// A GPU for tests of the pipeline: the simulated device, and an op table whose kernels are the
// CPU's and run when the device's compute engine has come to them.
#pragma once

#include <functional>
#include <optional>
#include <utility>

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
  // The tables live longer. `wait` ends when all that is on `stream` has run.
  SimulatedGpu(EventClock& clock, const SimulatedGpuOptions& options, const OpTable& ops);
  SimulatedGpu(EventClock& clock, const SimulatedGpuOptions& options, const DeviceOpTable& kernels,
               Stream stream, std::function<void()> wait);
  ~SimulatedGpu();
  SimulatedGpu(const SimulatedGpu&) = delete;
  SimulatedGpu& operator=(const SimulatedGpu&) = delete;

  SimulatedDevice& device() { return device_; }
  // A row is null where the CPU's is.
  const DeviceOpTable& ops() const { return table_; }
  std::int64_t n_kernels() const { return n_kernels_; }

  // Puts a kernel on the stream.
  void launch(Stream stream, std::function<void()> work) {
    ++n_kernels_;
    device_.run(stream, kernel_s_, std::move(work));
  }
  // Whichever there is.
  const OpTable* cpu_ops() const { return cpu_ops_; }
  const DeviceOpTable* kernels() const { return kernels_; }
  // Runs a kernel now.
  template <typename Args>
  void run(void (*kernel)(const Args&, DeviceRange), const Args& args, DeviceRange range) const {
    kernel(args, {range.begin, range.end, *stream_});
    wait_();
  }
  static SimulatedGpu& current();

 private:
  void fill_table();
  SimulatedDevice device_;
  double kernel_s_;
  const OpTable* cpu_ops_ = nullptr;
  const DeviceOpTable* kernels_ = nullptr;
  std::optional<Stream> stream_;
  std::function<void()> wait_;
  DeviceOpTable table_ = {};
  std::int64_t n_kernels_ = 0;
};

}  // namespace windlass::test

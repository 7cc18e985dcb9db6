// How a program that orders too little shows on the simulated device: by wrong bytes, the same ones
// in each run.
#include <algorithm>
#include <csignal>

#include "tests/src/device_rig.h"
#include "tests/support/catch.h"
#include "tests/support/child_process.h"

namespace windlass {
namespace {

TEST_CASE("a program that orders its steps gets its bytes, whenever its kernels read them") {
  for (const Moment moment : {Moment::kBegin, Moment::kEnd}) {
    SimulatedDeviceOptions options = slow_links();
    options.work_runs = moment;
    DeviceRig rig(options);
    rig.load();
    rig.device.hold(rig.kernels, rig.mark(rig.copies));
    rig.compute(1);
    rig.device.hold(rig.copies, rig.mark(rig.kernels));
    rig.device.wait_for(rig.mark(rig.kernels));
    DeviceRig::fill(*rig.host, kLate);
    rig.load();
    rig.finish();
    CHECK(rig.count_seen(kNew) == kBlock);
  }
}

TEST_CASE("a kernel that does not hold for a copy reads poison") {
  DeviceRig rig;
  rig.load();
  rig.compute(3);
  rig.finish();
  CHECK(rig.count_seen(SimulatedDevice::kPoison) == kBlock);
}

TEST_CASE("a slow kernel that does not hold for a copy reads poison where it reads at its begin") {
  for (const Moment moment : {Moment::kBegin, Moment::kEnd}) {
    SimulatedDeviceOptions options = slow_links();
    options.work_runs = moment;
    DeviceRig rig(options);
    rig.load();
    rig.compute(5);
    rig.finish();
    CHECK((rig.count_seen(SimulatedDevice::kPoison) == kBlock) == (moment == Moment::kBegin));
  }
}

TEST_CASE("a copy that does not hold for the kernel of its slot shows in what the kernel reads") {
  DeviceRig rig;
  DeviceRig::fill(*rig.host, kOld);
  rig.load();
  rig.finish();
  DeviceRig::fill(*rig.host, kNew);
  rig.compute(1);
  rig.load();
  rig.finish();
  CHECK(rig.count_seen(kOld) == 0);
}

TEST_CASE("memory that was never written is poison") {
  DeviceRig rig;
  rig.compute(1);
  rig.finish();
  CHECK(rig.count_seen(SimulatedDevice::kPoison) == kBlock);
}

TEST_CASE("a host that reads before a copy is done reads poison, to the last moment") {
  DeviceRig rig;
  DeviceRig::fill(*rig.back, kOld);
  rig.load();
  rig.device.copy_to_host(rig.copies, rig.back->span(), rig.slot);
  rig.clock.advance(3.5);
  CHECK(rig.back->span().front() == kOld);  // its turn has not come
  rig.clock.advance(2);
  CHECK(std::count(rig.back->span().begin(), rig.back->span().end(), SimulatedDevice::kPoison) ==
        kBlock);
  rig.finish();
  CHECK(std::count(rig.back->span().begin(), rig.back->span().end(), kNew) == kBlock);
}

// Half of the lines are read before a change between, half after it.
TEST_CASE("a source that changes while it is copied gives a torn target, whatever its size") {
  for (const std::size_t size : {2, 3, 100, 4096}) {
    DeviceRig rig;
    rig.device.copy_to_device(rig.copies, rig.slot, rig.host->span().first(size));
    rig.clock.advance(static_cast<double>(size) / kBlock * 2);
    DeviceRig::fill(*rig.host, kLate);
    rig.device.hold(rig.kernels, rig.mark(rig.copies));
    rig.compute(1);
    rig.finish();
    INFO(size);
    CHECK(rig.count_seen(kNew) > 0);
    CHECK(rig.count_seen(kLate) > 0);
    CHECK(rig.count_seen(kNew) + rig.count_seen(kLate) == static_cast<std::int64_t>(size));
  }
}

TEST_CASE("the host cannot touch device memory but inside a kernel") {
  DeviceRig rig;
  rig.load();
  rig.finish();
  const ChildResult child = run_in_child([&] {
    std::signal(SIGSEGV, SIG_DFL);  // the test framework's handler reports to the wrong process
    return rig.slot[0] == kOld ? 1 : 0;
  });
  CHECK(child.signal == SIGSEGV);
}

}  // namespace
}  // namespace windlass

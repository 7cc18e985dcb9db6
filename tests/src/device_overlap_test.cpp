// A pipelined loop of copies and compute on the simulated device: its makespan is known exactly.
// Its blocks are of 1 GiB, and take no memory.
#include <optional>

#include "src/base/units.h"
#include "src/device/simulated_device.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

constexpr std::int64_t kBlock = 1 * kGiB;

struct Loop {
  int n_blocks = 8;
  int n_slots = 2;
  double copy_s = 4;
  double compute_s = 4;
};

SimulatedDeviceOptions options_of(const Loop& loop) {
  SimulatedDeviceOptions options;
  options.memory_bytes = loop.n_slots * kBlock;
  options.to_device.bytes_per_s = static_cast<double>(kBlock) / loop.copy_s;
  options.to_host = options.to_device;
  options.moves_bytes = false;
  return options;
}

// Streams n_blocks through a ring of slots, each computed once; seconds until all is done.
double makespan(const Loop& loop) {
  VirtualClock clock;
  SimulatedDevice device(clock, options_of(loop));
  const PinnedMemory host = get_or_fail(device.allocate_pinned(kBlock));
  DeviceArena arena = get_or_fail(device.reserve(loop.n_slots * kBlock));
  const Stream copies = device.make_stream(), compute = device.make_stream();
  std::vector<ArenaRange> slots;
  std::vector<Event> filled, emptied;
  for (int slot = 0; slot < loop.n_slots; ++slot) {
    slots.push_back(arena.carve(kBlock));
    filled.push_back(device.make_event());
    emptied.push_back(device.make_event());
  }
  for (int block = 0; block < loop.n_blocks; ++block) {
    const auto slot = static_cast<std::size_t>(block % loop.n_slots);
    device.hold(copies, emptied[slot]);
    device.copy_to_device(copies, arena.at(slots[slot]), host.span());
    device.record(copies, filled[slot]);
    device.hold(compute, filled[slot]);
    device.run(compute, loop.compute_s, [] {});
    device.record(compute, emptied[slot]);
  }
  device.wait_for(emptied[static_cast<std::size_t>((loop.n_blocks - 1) % loop.n_slots)]);
  CHECK(device.busy_s(DeviceEngine::kToDevice) == loop.n_blocks * loop.copy_s);
  CHECK(device.busy_s(DeviceEngine::kCompute) == loop.n_blocks * loop.compute_s);
  return clock.now_s();
}

TEST_CASE("copies and compute of a pipelined loop overlap, but for the fill") {
  CHECK(makespan({8, 2, 4, 4}) == 8 * 4 + 4);
  CHECK(makespan({8, 2, 6, 4}) == 8 * 6 + 4);  // the link is the bound
  CHECK(makespan({8, 2, 4, 6}) == 4 + 8 * 6);  // compute is
  CHECK(makespan({1, 2, 4, 6}) == 10);
}

TEST_CASE("with one slot nothing overlaps") { CHECK(makespan({8, 1, 4, 6}) == 8 * (4 + 6)); }

}  // namespace
}  // namespace windlass

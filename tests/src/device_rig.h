// A simulated device with slow links, two slots and two streams, for tests of what it shows and
// when.
#pragma once

#include <algorithm>
#include <cstring>
#include <optional>

#include "src/device/simulated_device.h"

namespace windlass {

using Moment = SimulatedDeviceOptions::Moment;

inline constexpr std::int64_t kBlock = 4096;
inline constexpr std::byte kOld{1}, kNew{2}, kLate{3};

// A copy of a block takes 4 s to the device and 2 s back.
inline SimulatedDeviceOptions slow_links() {
  SimulatedDeviceOptions options;
  options.memory_bytes = 4 * kBlock;
  options.to_device.bytes_per_s = kBlock / 4;
  options.to_host.bytes_per_s = kBlock / 2;
  return options;
}

struct DeviceRig {
  explicit DeviceRig(const SimulatedDeviceOptions& options = slow_links())
      : device(clock, options) {
    host.emplace(get_or_fail(device.allocate_pinned(kBlock)));
    back.emplace(get_or_fail(device.allocate_pinned(kBlock)));
    arena.emplace(get_or_fail(device.reserve(2 * kBlock)));
    slot = arena->at(arena->carve(kBlock));
    other_slot = arena->at(arena->carve(kBlock));
    fill(*host, kNew);
  }
  static void fill(const PinnedMemory& memory, std::byte value) {
    std::fill(memory.span().begin(), memory.span().end(), value);
  }
  void load() { device.copy_to_device(copies, slot, host->span()); }
  // Notes the slot's content when it is computed.
  void compute(double seconds) {
    device.run(kernels, seconds, [this] { std::memcpy(seen, slot, kBlock); });
  }
  Event mark(Stream stream) {
    const Event event = device.make_event();
    device.record(stream, event);
    return event;
  }
  void finish() {
    for (const Stream stream : {copies, kernels}) device.wait_for(mark(stream));
  }
  std::int64_t count_seen(std::byte value) const {
    return std::count(std::begin(seen), std::end(seen), value);
  }

  VirtualClock clock;
  SimulatedDevice device;
  Stream copies = device.make_stream(), kernels = device.make_stream();
  std::optional<PinnedMemory> host, back;
  std::optional<DeviceArena> arena;
  std::byte* slot = nullptr;
  std::byte* other_slot = nullptr;
  std::byte seen[kBlock] = {};
};

}  // namespace windlass

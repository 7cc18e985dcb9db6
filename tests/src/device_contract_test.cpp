// What every device promises, run on the simulated one with both clocks, and on an NVIDIA one where
// there is one.
#include <algorithm>
#include <cstdio>
#include <functional>

#include "src/base/units.h"
#include "src/device/cuda_device.h"
#include "src/device/simulated_device.h"
#include "tests/support/catch.h"
#include "tests/support/child_process.h"

namespace windlass {
namespace {

constexpr std::int64_t kMostPinned = 4 * kMiB;
constexpr std::int64_t kSize = 64 * kKiB;

void on_simulated(EventClock& clock, const std::function<void(Device&)>& body) {
  SimulatedDeviceOptions options;
  options.memory_bytes = 16 * kMiB;
  options.to_device = options.to_host = {1e9, 1e-5};
  options.most_pinned_bytes = kMostPinned;
  SimulatedDevice device(clock, options);
  body(device);
}

void on_each_device(const std::function<void(Device&)>& body) {
  {
    INFO("simulated, virtual clock");
    VirtualClock clock;
    on_simulated(clock, body);
  }
  {
    INFO("simulated, real clock");
    RealClock clock;
    on_simulated(clock, body);
  }
  CudaDeviceOptions options;
  options.most_pinned_bytes = kMostPinned;
  auto opened = open_cuda_device(options);
  if (const auto* none = std::get_if<NoDevice>(&opened)) {
    std::printf("not run on an NVIDIA device: %s\n", none->reason.c_str());
    return;
  }
  Device& device = *std::get<std::unique_ptr<Device>>(opened);
  INFO(device.info().name);
  body(device);
}

// Numbers that differ from neighbour to neighbour and from seed to seed.
void fill(std::span<std::byte> bytes, int seed) {
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>((i * 7 + i / 251 + static_cast<std::size_t>(seed)) % 253);
}

bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

TEST_CASE("bytes come back from the device as they went, whatever their size and place") {
  on_each_device([](Device& device) {
    const PinnedMemory out = get_or_fail(device.allocate_pinned(kSize)),
                       back = get_or_fail(device.allocate_pinned(kSize));
    DeviceArena arena = get_or_fail(device.reserve(2 * kSize));
    arena.carve(2 * kSize);
    const Stream stream = device.make_stream();
    const Event done = device.make_event();
    for (const std::size_t size : {1, 2, 3, 63, 64, 65, 127, 128, 129, 1000, 4096, 65000}) {
      const std::size_t place = size % 100;
      fill(out.span(), static_cast<int>(size));
      fill(back.span(), -1);
      device.copy_to_device(stream, arena.at(kSize - 3), out.span().subspan(place, size));
      device.copy_to_host(stream, back.span().subspan(2 * place, size), arena.at(kSize - 3));
      device.record(stream, done);
      device.wait_for(done);
      INFO(size);
      CHECK(same(out.span().subspan(place, size), back.span().subspan(2 * place, size)));
      std::vector<std::byte> untouched(static_cast<std::size_t>(kSize));
      fill(untouched, -1);
      const auto after = static_cast<std::ptrdiff_t>(2 * place + size);
      CHECK(std::equal(untouched.begin() + after, untouched.end(), back.span().begin() + after));
    }
  });
}

TEST_CASE("a stream that holds for an event sees what was done before it on another") {
  on_each_device([](Device& device) {
    const PinnedMemory out = get_or_fail(device.allocate_pinned(kSize)),
                       back = get_or_fail(device.allocate_pinned(kSize));
    DeviceArena arena = get_or_fail(device.reserve(kSize));
    const ArenaRange range = arena.carve(kSize);
    const Stream there = device.make_stream(), here = device.make_stream();
    const Event arrived = device.make_event(), returned = device.make_event();
    for (int round = 0; round < 20; ++round) {
      fill(out.span(), round);
      device.hold(there, returned);  // of the round before; never recorded in the first
      device.copy_to_device(there, arena.at(range), out.span());
      device.record(there, arrived);
      device.hold(here, arrived);
      device.copy_to_host(here, back.span(), arena.at(range));
      device.record(here, returned);
      device.wait_for(returned);
      CHECK(device.done(arrived));
      CHECK(same(out.span(), back.span()));
    }
    CHECK(device.seconds_between(arrived, returned) > 0);
  });
}

TEST_CASE("an event that was never recorded is done, and holds nobody") {
  on_each_device([](Device& device) {
    const Event event = device.make_event(), after = device.make_event();
    CHECK(device.done(event));
    device.wait_for(event);
    const Stream stream = device.make_stream();
    device.hold(stream, event);
    device.record(stream, after);
    device.wait_for(after);
    CHECK(device.done(after));
  });
}

TEST_CASE("arenas are carved in order, aligned, to the last byte and no further") {
  on_each_device([](Device& device) {
    DeviceArena arena = get_or_fail(device.reserve(1000));
    CHECK(arena.size_bytes() == 1024);
    const ArenaRange first = arena.carve(1), second = arena.carve(257);
    CHECK(first.offset_bytes == 0);
    CHECK(first.size_bytes == 256);
    CHECK(second.offset_bytes == 256);
    CHECK(second.size_bytes == 512);
    CHECK(arena.at(second) == arena.at(first) + 256);
    CHECK(reinterpret_cast<std::uintptr_t>(arena.at(second)) % 256 == 0);
    CHECK(fails_a_check([&] { arena.carve(257); }));
    CHECK(fails_a_check([&] { arena.at(769); }));
    CHECK(arena.carve(256).offset_bytes == 768);
    CHECK(arena.carved_bytes() == arena.size_bytes());
  });
}

TEST_CASE("memory that is not there is an outcome with numbers, and less can be had after it") {
  on_each_device([](Device& device) {
    const std::int64_t total = device.info().total_bytes;
    CHECK(device.memory().total_bytes > 0);
    const auto outcome = device.reserve(4 * total);
    REQUIRE(std::holds_alternative<NoMemory>(outcome));
    const auto& refused = std::get<NoMemory>(outcome);
    CHECK(refused.asked_bytes == 4 * total);
    CHECK(refused.available_bytes > 0);
    CHECK(refused.available_bytes <= total);
    CHECK_THAT(refused.message, StartsWith(device.info().name) && Contains("--vram") &&
                                    Contains(format_size(4 * total)));
    CHECK_THROWS_AS(get_or_fail(device.reserve(4 * total)), Error);
    for (int again = 0; again < 3; ++again) {  // given back by the destructor
      CHECK(std::holds_alternative<DeviceArena>(device.reserve(total / 2)));
    }
  });
}

TEST_CASE("pinned memory is zeroed, on pages, bounded, and given back") {
  on_each_device([](Device& device) {
    {
      PinnedMemory memory = get_or_fail(device.allocate_pinned(5000));
      CHECK(memory.size_bytes() == 8192);
      CHECK(reinterpret_cast<std::uintptr_t>(memory.data()) % 4096 == 0);
      CHECK(std::all_of(memory.span().begin(), memory.span().end(),
                        [](std::byte one) { return one == std::byte{0}; }));
      const PinnedMemory moved = std::move(memory);
      CHECK(device.pinned_bytes() == 8192);
      const auto outcome = device.allocate_pinned(kMostPinned);
      REQUIRE(std::holds_alternative<NoMemory>(outcome));
      const auto& refused = std::get<NoMemory>(outcome);
      CHECK(refused.asked_bytes == kMostPinned);
      CHECK(refused.available_bytes == kMostPinned - 8192);
      CHECK_THAT(refused.message, Contains("4.0 MiB") && Contains("8.0 KiB"));
      CHECK(std::holds_alternative<PinnedMemory>(device.allocate_pinned(refused.available_bytes)));
    }
    CHECK(device.pinned_bytes() == 0);
  });
}

TEST_CASE("memory that exists can be pinned, keeps its content, and is not freed") {
  on_each_device([](Device& device) {
    const PinnedMemory back = get_or_fail(device.allocate_pinned(kSize));
    const std::unique_ptr<std::byte, decltype(&std::free)> memory(
        static_cast<std::byte*>(std::aligned_alloc(4096, kSize)), &std::free);
    const std::span<std::byte> bytes(memory.get(), kSize);
    fill(bytes, 3);
    DeviceArena arena = get_or_fail(device.reserve(kSize));
    const ArenaRange range = arena.carve(kSize);
    {
      const PinnedMemory pinned = get_or_fail(device.pin(bytes));
      CHECK(pinned.data() == memory.get());
      CHECK(fails_a_check([&] { device.pin(bytes.subspan(4096, 4096)); }));
      const Stream stream = device.make_stream();
      device.copy_to_device(stream, arena.at(range), bytes);
      device.copy_to_host(stream, back.span(), arena.at(range));
    }  // the destructor waits
    CHECK(same(bytes, back.span()));
    CHECK(fails_a_check([&] { device.pin(bytes.subspan(1, 4096)); }));
    CHECK(fails_a_check([&] { device.pin(bytes.subspan(0, 100)); }));
  });
}

TEST_CASE(
    "copies take pinned memory and ranges of arenas alone, streams and events of their device") {
  on_each_device([](Device& device) {
    const PinnedMemory host = get_or_fail(device.allocate_pinned(4096));
    DeviceArena arena = get_or_fail(device.reserve(4096));
    arena.carve(4096);
    std::vector<std::byte> pageable(4096);
    const Stream stream = device.make_stream();
    const Event own = device.make_event();
    const auto refuses = [&](std::byte* there, std::span<std::byte> here) {
      return fails_a_check([&] { device.copy_to_device(stream, there, here); }) &&
             fails_a_check([&] { device.copy_to_host(stream, here, there); });
    };
    CHECK(refuses(arena.at(0), pageable));
    CHECK(refuses(arena.at(0), {host.data() + 1, 4096}));
    CHECK(refuses(arena.at(0), {host.data() - 1, 2}));
    CHECK(refuses(arena.at(1), host.span()));
    CHECK(refuses(nullptr, host.span()));
    CHECK(refuses(host.data(), host.span()));
    CHECK(refuses(arena.at(0), {}));
    VirtualClock clock;
    on_simulated(clock, [&](Device& other) {
      const Stream foreign = other.make_stream();
      const Event event = other.make_event();
      CHECK(fails_a_check([&] { device.copy_to_device(foreign, arena.at(0), host.span()); }));
      CHECK(fails_a_check([&] { device.record(foreign, own); }));
      CHECK(fails_a_check([&] { device.hold(stream, event); }));
      CHECK(fails_a_check([&] { device.done(event); }));
    });
  });
}

}  // namespace
}  // namespace windlass

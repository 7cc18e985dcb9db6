// The simulated device: when things happen, and what it refuses.
#include <string>
#include <vector>

#include "tests/src/device_rig.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

TEST_CASE("what is put on one stream takes its time one after the other") {
  DeviceRig rig;
  rig.load();
  rig.device.run(rig.copies, 3, [] {});
  rig.device.copy_to_host(rig.copies, rig.back->span(), rig.slot);
  const Event end = rig.mark(rig.copies);
  CHECK_FALSE(rig.device.done(end));
  rig.clock.advance(4 + 3 + 1.5);
  CHECK_FALSE(rig.device.done(end));
  rig.clock.advance(0.5);
  CHECK(rig.device.done(end));
  CHECK(rig.device.busy_s(DeviceEngine::kToDevice) == 4);
  CHECK(rig.device.busy_s(DeviceEngine::kCompute) == 3);
  CHECK(rig.device.busy_s(DeviceEngine::kToHost) == 2);
}

TEST_CASE("latency is paid by every copy") {
  SimulatedDeviceOptions options = slow_links();
  options.to_device.latency_s = 0.5;
  DeviceRig rig(options);
  rig.load();
  rig.load();
  rig.finish();
  CHECK(rig.clock.now_s() == 2 * (0.5 + 4));
}

TEST_CASE("two copy engines carry both directions at once, one takes turns") {
  for (const int engines : {1, 2}) {
    SimulatedDeviceOptions options = slow_links();
    options.copy_engines = engines;
    DeviceRig rig(options);
    rig.load();
    rig.device.copy_to_host(rig.kernels, rig.back->span(), rig.other_slot);
    rig.finish();
    CHECK(rig.clock.now_s() == (engines == 1 ? 4 + 2 : 4));
    CHECK(rig.device.info().copy_engines == engines);
    CHECK(rig.device.busy_s(DeviceEngine::kToHost) == 2);
  }
}

TEST_CASE("an engine takes what has been ready for longest, and a held stream blocks no other") {
  DeviceRig rig;
  std::string order;
  const Stream third = rig.device.make_stream(), fourth = rig.device.make_stream();
  rig.load();  // 0 to 4
  rig.device.hold(rig.kernels, rig.mark(rig.copies));
  rig.device.run(rig.kernels, 1, [&] { order += "held "; });         // put there first, ready at 4
  rig.device.copy_to_host(third, rig.back->span(), rig.other_slot);  // 0 to 2
  rig.device.run(third, 2, [&] { order += "earlier "; });            // ready at 2
  rig.device.run(fourth, 6, [&] { order += "free "; });              // 0 to 6
  rig.finish();
  CHECK(order == "free earlier held ");
  CHECK(rig.clock.now_s() == 9);
}

TEST_CASE("of what is ready at one time, what was put there first goes first") {
  DeviceRig rig;
  std::string order;
  rig.load();
  const Event loaded = rig.mark(rig.copies);
  rig.device.hold(rig.kernels, loaded);
  rig.device.hold(rig.copies, loaded);
  rig.device.run(rig.kernels, 1, [&] { order += "first "; });
  rig.device.run(rig.copies, 1, [&] { order += "second "; });
  rig.finish();
  CHECK(order == "first second ");
}

TEST_CASE("a hold keeps the point that the event was when it was put there") {
  DeviceRig rig;
  std::string order;
  const Event event = rig.device.make_event();
  const Stream third = rig.device.make_stream();
  rig.load();
  rig.device.record(rig.copies, event);  // at 4
  rig.device.hold(rig.kernels, event);
  rig.device.record(third, event);  // at once
  CHECK(rig.device.done(event));
  rig.device.run(rig.kernels, 1, [&] { order += "held "; });
  rig.device.run(third, 1, [&] { order += "free "; });
  rig.finish();
  CHECK(order == "free held ");
  CHECK(rig.clock.now_s() == 5);
}

TEST_CASE("memory that another process takes is refused, what is reserved stays, less is enough") {
  DeviceRig rig;  // holds 2 of 4 blocks
  CHECK(rig.device.memory().free_bytes == 2 * kBlock);
  rig.device.set_taken_bytes(kBlock);
  CHECK(rig.device.memory().free_bytes == kBlock);
  const auto outcome = rig.device.reserve(2 * kBlock);
  REQUIRE(std::holds_alternative<NoMemory>(outcome));
  const auto& refused = std::get<NoMemory>(outcome);
  CHECK(refused.available_bytes == kBlock);
  CHECK(refused.message ==
        "the simulated device has no 8.0 KiB in one piece: 4.0 KiB of 16.0 KiB are free; lower "
        "--vram, or end what else uses its memory (nvidia-smi lists it)");
  CHECK(std::holds_alternative<DeviceArena>(rig.device.reserve(refused.available_bytes)));
  rig.device.set_taken_bytes(4 * kBlock);
  CHECK(rig.device.memory().free_bytes == 0);
  rig.load();
  rig.finish();
  rig.arena.reset();
  rig.device.set_taken_bytes(0);
  CHECK(std::holds_alternative<DeviceArena>(rig.device.reserve(4 * kBlock)));
}

TEST_CASE("a system that lets little be locked refuses to pin more, with what there is") {
  SimulatedDeviceOptions options = slow_links();
  options.lockable_bytes = 3 * kBlock;
  DeviceRig rig(options);  // pins 2 blocks
  CHECK(std::holds_alternative<PinnedMemory>(rig.device.allocate_pinned(kBlock)));
  const auto outcome = rig.device.allocate_pinned(2 * kBlock);
  REQUIRE(std::holds_alternative<NoMemory>(outcome));
  CHECK_THAT(std::get<NoMemory>(outcome).message,
             Contains("refuses to pin 8.0 KiB") && Contains("12.0 KiB be locked, 8.0 KiB are"));
  CHECK(rig.device.pinned_bytes() == 2 * kBlock);
}

TEST_CASE("a device that is lost says so at every call, and lets go of everything") {
  DeviceRig rig;
  DeviceRig::fill(*rig.back, kOld);
  rig.load();
  rig.device.copy_to_host(rig.copies, rig.back->span(), rig.slot);
  const Event end = rig.mark(rig.copies);
  rig.clock.schedule(1, [&] { rig.device.lose("it fell off the bus"); });
  const auto is_lost = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code() == ErrorCode::kDevice &&
             std::string(error.what()).find("it fell off the bus") != std::string::npos;
    }
    return false;
  };
  CHECK(is_lost([&] { rig.device.wait_for(end); }));
  CHECK(rig.clock.now_s() == 1);
  CHECK(is_lost([&] { rig.device.done(end); }));
  CHECK(is_lost([&] { rig.load(); }));
  CHECK(is_lost([&] { rig.compute(1); }));
  CHECK(is_lost([&] { rig.device.record(rig.copies, end); }));
  CHECK(is_lost([&] { rig.device.hold(rig.copies, end); }));
  CHECK(is_lost([&] { rig.device.make_stream(); }));
  CHECK(is_lost([&] { rig.device.memory(); }));
  CHECK(is_lost([&] { rig.device.reserve(1); }));
  CHECK(is_lost([&] { rig.device.allocate_pinned(1); }));
  rig.clock.advance(10);
  CHECK(rig.back->span().front() == kOld);
}

TEST_CASE("who watches is told of each span of each engine") {
  DeviceRig rig;
  std::vector<EngineSpan> spans;
  rig.device.watch([&](const EngineSpan& span) { spans.push_back(span); });
  rig.load();
  rig.device.hold(rig.kernels, rig.mark(rig.copies));
  rig.compute(1);
  rig.load();
  rig.finish();
  REQUIRE(spans.size() == 3);
  CHECK(spans[0].engine == DeviceEngine::kToDevice);
  CHECK(spans[1].engine == DeviceEngine::kCompute);
  CHECK(spans[1].begin_s == 4);
  CHECK(spans[1].end_s == 5);
  CHECK(spans[2].begin_s == 4);
  CHECK(spans[2].end_s == 8);
}

TEST_CASE("on the real clock copies take at least their time, and bytes come with it") {
  RealClock clock;
  SimulatedDeviceOptions options = slow_links();
  options.to_device = {1e9, 0.002};
  SimulatedDevice device(clock, options);
  const PinnedMemory host = get_or_fail(device.allocate_pinned(kBlock));
  DeviceRig::fill(host, kNew);
  DeviceArena arena = get_or_fail(device.reserve(kBlock));
  std::byte* slot = arena.at(arena.carve(kBlock));
  const Stream stream = device.make_stream();
  const Event begin = device.make_event(), end = device.make_event();
  std::byte first{0};
  const double begin_s = clock.now_s();
  device.record(stream, begin);
  device.copy_to_device(stream, slot, host.span());
  device.run(stream, 0.001, [&] { first = *slot; });
  device.record(stream, end);
  device.wait_for(end);
  CHECK(clock.now_s() - begin_s >= 0.003);
  CHECK(device.seconds_between(begin, end) >= 0.003);
  CHECK(first == kNew);
}

}  // namespace
}  // namespace windlass

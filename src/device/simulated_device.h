// A device made of host memory and a clock, for tests of everything that uses one: its memory is a
// capped arena, its copies copy, its kernels are functions that run on the CPU. Only when things
// happen is made up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "src/base/event_clock.h"
#include "src/device/device.h"
#include "src/device/simulated_queues.h"

namespace windlass {

// A copy keeps its engine busy for latency_s + size / bytes_per_s.
struct SimulatedLink {
  double bytes_per_s = 25e9;
  double latency_s = 0;
};

struct SimulatedDeviceOptions {
  std::int64_t memory_bytes = 0;
  SimulatedLink to_device, to_host;
  int copy_engines = 2;  // 1: copies of the two directions take turns; 2: they overlap
  std::int64_t most_pinned_bytes = std::numeric_limits<std::int64_t>::max();
  // What the simulated system lets be locked: beyond it, pinning is refused as by a low memlock.
  std::int64_t lockable_bytes = std::numeric_limits<std::int64_t>::max();
  // False: copies take their time and leave all memory untouched, and work passed to run() is not
  // run. For shapes that are larger than this machine.
  bool moves_bytes = true;
  // When the functions of run() run. A kernel reads and writes at any time between, so a program
  // that orders everything gives the same bytes either way. kEnd shows what is read before a kernel
  // has ended, and what overwrites its input; kBegin shows a kernel that starts before its input is
  // there.
  enum class Moment : std::uint8_t { kBegin, kEnd } work_runs = Moment::kEnd;
};

// A race shows as wrong bytes, the same ones in each run:
// - From when its turn comes until it is done, a copy's target holds kPoison, and so does reserved
//   memory that was never written. 0xFF is NaN in each float type.
// - Of a copy's source, every other line of 64 bytes is read when its turn comes, the others at its
//   end: what is written into it between gives a torn target.
// - Device memory can be touched by copies and inside run() only; else the process gets a SIGSEGV.
//
// The clock outlives it. The destructor waits for all work.
class SimulatedDevice final : public Device {
 public:
  static constexpr std::byte kPoison{0xFF};

  SimulatedDevice(EventClock& clock, const SimulatedDeviceOptions& options);
  ~SimulatedDevice() override;

  DeviceMemory memory() override;

  // A kernel: when all before it on the stream is done, the device's one compute engine is busy
  // with it for `seconds`. `work` runs on the clock's thread, must not throw, and takes no
  // simulated time of its own.
  void run(Stream stream, double seconds, std::function<void()> work);

  // Busy so far, time of work that still runs not counted.
  double busy_s(DeviceEngine engine) const { return queues_.busy_s(engine); }
  void watch(std::function<void(const EngineSpan&)> watcher) { queues_.watch(std::move(watcher)); }

  // Another process holds so many bytes of the memory from now on. What is reserved stays.
  void set_taken_bytes(std::int64_t size_bytes) { taken_bytes_ = size_bytes; }
  // From now on every call throws Error(kDevice) with `why`, and nothing is computed or copied.
  void lose(const std::string& why);

 private:
  class Touch;
  void* new_stream() override;
  void* new_event() override;
  void record_event(void* stream, void* event) override;
  void hold_stream(void* stream, void* event) override;
  bool event_done(void* event) override;
  void wait_for_event(void* event) override;
  double event_distance_s(void* earlier, void* later) override;
  void start_copy(void* stream, const Copy& copy) override;
  std::byte* allocate(std::int64_t size_bytes) override;
  void deallocate(std::byte* base) noexcept override;
  bool lock_pages(std::span<std::byte> pages, std::string* why) override;
  void unlock_pages(std::span<std::byte> pages) noexcept override;
  void finish_all() noexcept override;
  void check_alive() const;

  using EventState = std::shared_ptr<const SimulatedMark>;  // null: never recorded
  EventClock& clock_;
  SimulatedDeviceOptions options_;
  std::vector<std::unique_ptr<EventState>> events_;
  std::map<std::byte*, std::int64_t> arenas_;  // base -> size
  std::int64_t taken_bytes_ = 0;
  std::int64_t locked_bytes_ = 0;
  std::string lost_;        // why; empty while alive
  SimulatedQueues queues_;  // last: its destructor waits for work that uses the rest
};

}  // namespace windlass

// When things happen on a simulated device: streams that run in order, marks that other streams
// wait for, engines that are busy for a time. What the work does to bytes is its owner's business.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "src/base/event_clock.h"

namespace windlass {

enum class DeviceEngine : std::uint8_t { kToDevice, kToHost, kCompute };

// A time in which an engine was busy.
struct EngineSpan {
  DeviceEngine engine = DeviceEngine::kCompute;
  double begin_s = 0;
  double end_s = 0;
};

// A point in a stream.
struct SimulatedMark {
  bool done = false;
  double at_s = 0;  // when it was reached
};

struct SimulatedWork {
  DeviceEngine engine = DeviceEngine::kCompute;
  double seconds = 0;
  std::function<void()> ready;  // all that is before it on the stream is done
  std::function<void()> end;    // the engine has been busy with it for `seconds`
};

// Owner-thread, on the clock's thread. The clock outlives it. An engine takes what has been ready
// for longest; a stream that waits for a mark blocks no other.
class SimulatedQueues {
 public:
  struct Lane;

  // With one copy engine, copies of the two directions take turns.
  SimulatedQueues(EventClock& clock, bool one_copy_engine);
  ~SimulatedQueues();  // waits until nothing runs

  Lane* add_stream();  // lives as long as this object
  void push(Lane* stream, SimulatedWork work);
  std::shared_ptr<const SimulatedMark> mark(Lane* stream);
  void hold(Lane* stream, std::shared_ptr<const SimulatedMark> mark);
  // Runs the clock until the mark is done.
  void wait_for(const SimulatedMark& mark);
  void wait_until_idle();
  // What waits or runs is never done; marks are reached at once, so that nobody waits for ever.
  void drop_all();

  double busy_s(DeviceEngine engine) const { return busy_s_[index(engine)]; }
  // Called at the end of each span, in order of time.
  void watch(std::function<void(const EngineSpan&)> watcher) { watcher_ = std::move(watcher); }

 private:
  struct Engine {
    bool busy = false;
    std::deque<Lane*> ready;
  };
  static std::size_t index(DeviceEngine engine) { return static_cast<std::size_t>(engine); }
  Engine& engine_of(DeviceEngine engine);
  void settle();
  bool step(Lane& stream);
  void start_next(Engine& engine);
  void finish(Engine& engine, Lane& stream, double begin_s) noexcept;
  bool idle() const;

  EventClock& clock_;
  bool one_copy_engine_;
  std::deque<Lane> streams_;
  std::array<Engine, 3> engines_;
  std::array<double, 3> busy_s_{};
  std::function<void(const EngineSpan&)> watcher_;
  std::int64_t n_pushed_ = 0;
};

}  // namespace windlass

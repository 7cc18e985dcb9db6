// A clock with a queue of what happens at which time: simulated hardware lives on one. Several
// parts (a device, a disk, a CPU) that share a clock share one timeline.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

namespace windlass {

// Owner-thread: events run inside run_due and run_next, on the thread that calls them. Outlives
// whatever schedules events that refer to it.
class EventClock {
 public:
  virtual ~EventClock() = default;
  EventClock(const EventClock&) = delete;
  EventClock& operator=(const EventClock&) = delete;

  // Seconds since the clock was made. While an event runs, the time for which it was scheduled,
  // however late it runs.
  double now_s() const { return running_ ? event_s_ : read_s(); }
  // Events of one time run in the order in which they were scheduled. They must not throw.
  void schedule(double at_s, std::function<void()> event);
  // Runs, in order, all events whose time has come.
  void run_due();
  // Waits for the next event and runs it; false, at once, when none is scheduled.
  bool run_next();

 protected:
  EventClock() = default;
  virtual double read_s() const = 0;
  virtual void wait_until(double at_s) = 0;  // at once where that time has passed

 private:
  struct Event {
    double at_s;
    std::int64_t number;
    std::function<void()> run;
    bool operator<(const Event& other) const {  // std::priority_queue has the greatest on top
      return at_s != other.at_s ? at_s > other.at_s : number > other.number;
    }
  };
  void run_first();

  std::priority_queue<Event> events_;
  std::int64_t n_scheduled_ = 0;
  double event_s_ = 0;
  bool running_ = false;
};

// Time that passes only when somebody waits: deterministic, and nothing sleeps. A loop that only
// polls stands still.
class VirtualClock final : public EventClock {
 public:
  // Lets so many seconds pass, and runs what happens in them.
  void advance(double seconds);

 private:
  double read_s() const override { return now_s_; }
  void wait_until(double at_s) override;
  double now_s_ = 0;
};

// The machine's own time; waiting sleeps.
class RealClock final : public EventClock {
 public:
  RealClock();

 private:
  double read_s() const override;
  void wait_until(double at_s) override;
  double start_s_;
};

}  // namespace windlass

#include "src/base/event_clock.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "src/base/check.h"
#include "src/base/clock.h"

namespace windlass {

void EventClock::schedule(double at_s, std::function<void()> event) {
  events_.push({at_s, n_scheduled_++, std::move(event)});
}

void EventClock::run_first() {
  WINDLASS_CHECK(!running_, event_s_);  // an event waits for nothing
  // top() is const only because a changed key would break the order; this one leaves at once.
  const Event event = std::move(const_cast<Event&>(events_.top()));
  events_.pop();
  event_s_ = event.at_s;
  running_ = true;
  event.run();
  running_ = false;
}

void EventClock::run_due() {
  while (!events_.empty() && events_.top().at_s <= read_s()) run_first();
}

bool EventClock::run_next() {
  if (events_.empty()) return false;
  wait_until(events_.top().at_s);
  run_first();
  return true;
}

void VirtualClock::advance(double seconds) {
  WINDLASS_CHECK(seconds >= 0, seconds);
  // A last event at the end of the time: all that happens before it happens on the way.
  const double end_s = now_s_ + seconds;
  bool reached = false;
  schedule(end_s, [&reached] { reached = true; });
  while (!reached) run_next();
}

void VirtualClock::wait_until(double at_s) { now_s_ = std::max(now_s_, at_s); }

RealClock::RealClock() : start_s_(windlass::now_s()) {}

double RealClock::read_s() const { return windlass::now_s() - start_s_; }

void RealClock::wait_until(double at_s) {
  const double left_s = at_s - read_s();
  if (left_s > 0) std::this_thread::sleep_for(std::chrono::duration<double>(left_s));
}

}  // namespace windlass

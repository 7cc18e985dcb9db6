// The order in which a clock runs its events, and what time it is in them.
#include "src/base/event_clock.h"

#include <string>

#include "tests/support/catch.h"

namespace windlass {
namespace {

TEST_CASE("events run by time, those of one time in the order of scheduling") {
  VirtualClock clock;
  std::string order;
  for (const auto& [at_s, name] : {std::pair{2.0, 'c'}, {1.0, 'a'}, {2.0, 'd'}, {1.0, 'b'}}) {
    clock.schedule(at_s, [&order, name = name] { order += name; });
  }
  clock.run_due();
  CHECK(order.empty());
  CHECK(clock.now_s() == 0);
  CHECK(clock.run_next());
  CHECK(clock.now_s() == 1);
  clock.run_due();
  CHECK(order == "ab");
  while (clock.run_next()) {
  }
  CHECK(order == "abcd");
  CHECK(clock.now_s() == 2);
  CHECK_FALSE(clock.run_next());
}

TEST_CASE("an event may schedule others, also for now") {
  VirtualClock clock;
  std::string order;
  clock.schedule(1, [&] {
    clock.schedule(clock.now_s(), [&] { order += "now "; });
    clock.schedule(clock.now_s() + 1, [&] { order += "later "; });
    order += "first ";
  });
  clock.advance(1.5);
  CHECK(order == "first now ");
  CHECK(clock.now_s() == 1.5);
  clock.advance(0.5);
  CHECK(order == "first now later ");
  clock.advance(0);
  CHECK(clock.now_s() == 2);
}

TEST_CASE("an event that runs late sees the time for which it was scheduled") {
  RealClock clock;
  const double at_s = clock.now_s();
  double seen_s = -1;
  clock.schedule(at_s, [&] {
    while (clock.now_s() != at_s) {
    }
    seen_s = clock.now_s();
  });
  clock.run_due();
  CHECK(seen_s == at_s);
  CHECK(clock.now_s() >= at_s);
}

TEST_CASE("waiting on the real clock ends when the time has come, not before") {
  RealClock clock;
  const double at_s = clock.now_s() + 0.002;
  bool ran = false;
  clock.schedule(at_s, [&] { ran = true; });
  CHECK(clock.run_next());
  CHECK(ran);
  CHECK(clock.now_s() >= at_s);
}

}  // namespace
}  // namespace windlass

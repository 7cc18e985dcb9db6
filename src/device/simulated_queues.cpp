#include "src/device/simulated_queues.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "src/base/check.h"

namespace windlass {

namespace {

// One of three: a mark to reach, a mark to wait for, or work.
struct Item {
  std::shared_ptr<SimulatedMark> reached;
  std::shared_ptr<const SimulatedMark> awaited;
  SimulatedWork work;
  std::int64_t number = 0;  // in order of pushing
  double ready_s = 0;
};

}  // namespace

struct SimulatedQueues::Lane {
  std::deque<Item> items;
  bool in_engine = false;  // the first item is with its engine, waiting or running
};

SimulatedQueues::SimulatedQueues(EventClock& clock, bool one_copy_engine)
    : clock_(clock), one_copy_engine_(one_copy_engine) {}

SimulatedQueues::~SimulatedQueues() { wait_until_idle(); }

SimulatedQueues::Engine& SimulatedQueues::engine_of(DeviceEngine engine) {
  const bool shared = one_copy_engine_ && engine == DeviceEngine::kToHost;
  return engines_[index(shared ? DeviceEngine::kToDevice : engine)];
}

SimulatedQueues::Lane* SimulatedQueues::add_stream() { return &streams_.emplace_back(); }

void SimulatedQueues::push(Lane* stream, SimulatedWork work) {
  clock_.run_due();
  stream->items.push_back({nullptr, nullptr, std::move(work), n_pushed_++, 0});
  settle();
}

std::shared_ptr<const SimulatedMark> SimulatedQueues::mark(Lane* stream) {
  clock_.run_due();
  auto mark = std::make_shared<SimulatedMark>();
  stream->items.push_back({mark, nullptr, {}, n_pushed_++, 0});
  settle();
  return mark;
}

void SimulatedQueues::hold(Lane* stream, std::shared_ptr<const SimulatedMark> mark) {
  clock_.run_due();
  stream->items.push_back({nullptr, std::move(mark), {}, n_pushed_++, 0});
  settle();
}

void SimulatedQueues::wait_for(const SimulatedMark& mark) {
  clock_.run_due();
  // A mark waits only for what was pushed before it, so something is scheduled until it is done.
  while (!mark.done) WINDLASS_CHECK(clock_.run_next());
}

void SimulatedQueues::wait_until_idle() {
  clock_.run_due();
  while (!idle()) WINDLASS_CHECK(clock_.run_next());
}

bool SimulatedQueues::idle() const {
  return std::none_of(engines_.begin(), engines_.end(), [](const Engine& one) { return one.busy; });
}

// Moves every stream as far as it goes now, then starts engines: those that became ready at one
// time are taken in the order in which they were pushed, whatever stream they are on.
void SimulatedQueues::settle() {
  for (bool moved = true; moved;) {
    moved = false;
    for (Lane& stream : streams_) {
      while (step(stream)) moved = true;
    }
  }
  for (Engine& engine : engines_) start_next(engine);
}

// One item further; false where the stream has to wait.
bool SimulatedQueues::step(Lane& stream) {
  if (stream.items.empty() || stream.in_engine) return false;
  Item& item = stream.items.front();
  if (item.awaited != nullptr && !item.awaited->done) return false;
  if (item.awaited == nullptr && item.reached == nullptr) {
    item.ready_s = clock_.now_s();
    item.work.ready();
    stream.in_engine = true;
    engine_of(item.work.engine).ready.push_back(&stream);
    return true;
  }
  if (item.reached != nullptr) *item.reached = {true, clock_.now_s()};
  stream.items.pop_front();
  return true;
}

void SimulatedQueues::start_next(Engine& engine) {
  if (engine.busy || engine.ready.empty()) return;
  const auto first =
      std::min_element(engine.ready.begin(), engine.ready.end(), [](Lane* a, Lane* b) {
        const Item &one = a->items.front(), &other = b->items.front();
        return std::tie(one.ready_s, one.number) < std::tie(other.ready_s, other.number);
      });
  Lane* stream = *first;
  engine.ready.erase(first);
  engine.busy = true;
  const Item& item = stream->items.front();
  // On a real clock an event may run late, and time in it is the time of the event: not before the
  // work was there.
  const double begin_s = std::max(clock_.now_s(), item.ready_s);
  clock_.schedule(begin_s + item.work.seconds,
                  [this, &engine, stream, begin_s] { finish(engine, *stream, begin_s); });
}

void SimulatedQueues::finish(Engine& engine, Lane& stream, double begin_s) noexcept {
  engine.busy = false;
  if (!stream.in_engine) return;  // dropped
  const SimulatedWork work = std::move(stream.items.front().work);
  busy_s_[index(work.engine)] += work.seconds;
  if (watcher_) watcher_({work.engine, begin_s, begin_s + work.seconds});
  work.end();
  stream.items.pop_front();
  stream.in_engine = false;
  settle();
}

void SimulatedQueues::drop_all() {
  for (Lane& stream : streams_) {
    for (Item& item : stream.items) {
      if (item.reached != nullptr) *item.reached = {true, clock_.now_s()};
    }
    stream.items.clear();
    stream.in_engine = false;
  }
  for (Engine& engine : engines_) engine.ready.clear();
}

}  // namespace windlass

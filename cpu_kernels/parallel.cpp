// The team of threads that runs one op at a time. `gate` holds everything that a helper must know
// to join an op without a lock: the op's number, whether it is open, and how many helpers are
// inside. A helper adds itself first and looks afterwards; the caller closes the gate first and
// then waits for those inside, so no helper ever reads a job that the caller is replacing, and a
// helper that comes late sees a closed gate.
#include <immintrin.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "cpu_kernels/op_table.h"
#include "cpu_kernels/thread_probe.h"
#include "src/base/check.h"

#ifdef __SANITIZE_THREAD__
extern "C" const char* __tsan_default_suppressions() {
  return "race_top:oneapi/tbb/\ncalled_from_lib:libtbb.so\n";
}
#endif

namespace windlass {
namespace {

// gate = op number * kOpUnit | open | helpers inside.
constexpr std::uint64_t kHelperUnit = 1;
constexpr std::uint64_t kOpen = std::uint64_t{1} << 15;
constexpr std::uint64_t kOpUnit = std::uint64_t{1} << 16;
constexpr std::uint64_t kHelperMask = kOpen - 1;

// A decode step has a few microseconds of single-thread work between ops at most: a helper that
// waited ten times that is waiting for something slow, and leaves its core.
constexpr auto kSpin = std::chrono::microseconds(60);
constexpr int kPausesPerLook = 32;  // pauses between looks at the clock, about a microsecond

constexpr int kMostThreads = 2048;  // of all teams that live at once; oneTBB's table: 128 B each

// oneTBB starts no more workers than there are cores unless it is told to, warns on standard error
// when an arena asks for more, and lets the least of several limits count: so there is one for the
// process, which is never in the way.
void allow_helpers() {
  static const tbb::global_control limit(tbb::global_control::max_allowed_parallelism,
                                         kMostThreads);
  static const tbb::global_control stack(tbb::global_control::thread_stack_size, kHelperStackBytes);
}

}  // namespace

struct Team::State {
  explicit State(int n_threads) : arena(n_threads, 1) {}

  struct Helper;
  static void enter(State* state);
  void help();
  bool wait_for_op(std::uint64_t* last_op);
  void work() {
    for (;;) {
      const std::int64_t chunk = next_chunk.fetch_add(1, std::memory_order_relaxed);
      if (chunk >= chunks) return;
      const std::int64_t begin = chunk * grain;
      job.invoke(job.function, job.args, {begin, std::min(begin + grain, items)});
    }
  }

  tbb::task_arena arena;
  tbb::task_group group;
  // Written by the caller while the gate is closed and nobody is inside.
  Job job = {};
  std::int64_t items = 0, grain = 1, chunks = 0;
  alignas(64) std::atomic<std::uint64_t> gate{0};
  alignas(64) std::atomic<std::int64_t> next_chunk{0};
  alignas(64) std::atomic<int> sleepers{0};
  std::atomic<int> wakes{0};  // what sleepers wait on: an int, so that the wait is a plain futex
  std::atomic<bool> stop{false};
  std::atomic<int> helpers{0};  // that have not ended
};

// Spins, then sleeps, until an op opens that this helper has not seen; false when the team ends.
bool Team::State::wait_for_op(std::uint64_t* last_op) {
  const auto is_new = [&] {
    const std::uint64_t now = gate.load(std::memory_order_seq_cst);
    if ((now & kOpen) == 0 || now / kOpUnit == *last_op) return false;
    *last_op = now / kOpUnit;
    return true;
  };
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (stop.load(std::memory_order_relaxed)) return false;
      if (is_new()) return true;
      _mm_pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  for (;;) {
    const int seen = wakes.load(std::memory_order_seq_cst);
    sleepers.fetch_add(1, std::memory_order_seq_cst);
    // The caller opens the gate and then looks for sleepers; we register and then look at the gate.
    const bool found = is_new();
    const bool ended = stop.load(std::memory_order_seq_cst);
    if (!found && !ended) wakes.wait(seen, std::memory_order_seq_cst);
    sleepers.fetch_sub(1, std::memory_order_seq_cst);
    if (ended) return false;
    if (found || is_new()) return true;
  }
}

void Team::State::help() {
  std::uint64_t last_op = 0;
  while (wait_for_op(&last_op)) {
    const std::uint64_t before = gate.fetch_add(kHelperUnit, std::memory_order_seq_cst);
    if ((before & kOpen) != 0) {
      last_op = before / kOpUnit;
      work();
    }
    gate.fetch_sub(kHelperUnit, std::memory_order_release);
  }
}

// oneTBB's hand-over of a task from thread to thread is invisible to the thread sanitizer, which
// would call a task's own fields raced over: the read of `state` is left out of its sight, those of
// oneTBB's fields and all inside its library are suppressed, and `helpers` orders the rest.
struct Team::State::Helper {
  State* state;
  [[gnu::no_sanitize("thread")]] void operator()() const { enter(state); }
};

void Team::State::enter(State* state) {
  if (state->helpers.load(std::memory_order_acquire) > 0) state->help();
  state->helpers.fetch_sub(1, std::memory_order_release);
}

Team::Team(int n_threads) {
  static_assert(kMostThreads < kHelperMask);
  WINDLASS_CHECK(n_threads >= 1 && n_threads <= kMostThreads, n_threads);
  n_threads_ = 1 + startable_threads(n_threads - 1);
  if (n_threads_ == 1) return;
  allow_helpers();
  state_ = std::make_unique<State>(n_threads_);
  state_->helpers.store(n_threads_ - 1, std::memory_order_release);
  for (int i = 1; i < n_threads_; ++i) {
    state_->arena.enqueue(state_->group.defer(State::Helper{state_.get()}));
  }
}

// A helper that oneTBB has not started yet is run here, by the waiting thread itself: it finds
// `stop` set and ends.
Team::~Team() {
  if (state_ == nullptr) return;
  State& state = *state_;
  state.stop.store(true, std::memory_order_seq_cst);
  state.wakes.fetch_add(1, std::memory_order_seq_cst);
  state.wakes.notify_all();
  state.arena.execute([&] { state.group.wait(); });
  WINDLASS_CHECK(state.helpers.load(std::memory_order_acquire) == 0);
}

void Team::run_erased(const Job& job, std::int64_t items, std::int64_t grain) {
  WINDLASS_CHECK(grain >= 1 && items >= 0, items, grain);
  if (items == 0) return;
  if (items <= grain || n_threads_ == 1) return job.invoke(job.function, job.args, {0, items});
  ++n_regions_;
  State& state = *state_;
  state.job = job;
  state.items = items;
  state.grain = grain;
  state.chunks = (items + grain - 1) / grain;
  state.next_chunk.store(0, std::memory_order_relaxed);
  state.gate.fetch_add(kOpUnit | kOpen, std::memory_order_seq_cst);
  if (state.sleepers.load(std::memory_order_seq_cst) > 0) {
    state.wakes.fetch_add(1, std::memory_order_seq_cst);
    state.wakes.notify_all();
  }
  state.work();
  state.gate.fetch_and(~kOpen, std::memory_order_seq_cst);
  // Those inside are in their last chunk. One that lost its core gets ours after a while.
  for (int spins = 0; (state.gate.load(std::memory_order_acquire) & kHelperMask) != 0; ++spins) {
    if (spins < 4096) {
      _mm_pause();
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace windlass

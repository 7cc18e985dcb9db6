// The team of threads that runs one region at a time. `gate` holds everything that a helper must
// know to join a region without a lock: its number, whether it is open, and how many helpers are
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
#include <vector>

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

// gate = region number * kRegionUnit | open | helpers inside.
constexpr std::uint64_t kHelperUnit = 1;
constexpr std::uint64_t kOpen = std::uint64_t{1} << 15;
constexpr std::uint64_t kRegionUnit = std::uint64_t{1} << 16;
constexpr std::uint64_t kHelperMask = kOpen - 1;

// A decode step has a few microseconds of single-thread work between regions at most: a helper that
// waited ten times that is waiting for something slow, and leaves its core.
constexpr auto kSpin = std::chrono::microseconds(60);
constexpr int kPausesPerLook = 32;  // pauses between looks at the clock, about a microsecond

constexpr int kMostThreads = 2048;  // of all teams that live at once; oneTBB's table: 128 B each

// The time stamp counter ticks at a constant rate; its first reading and the clock's are kept, and
// the longer ago they are the better.
struct FirstTick {
  std::uint64_t ticks = __rdtsc();
  std::chrono::steady_clock::time_point at = std::chrono::steady_clock::now();
};
const FirstTick first_tick;

double seconds_per_tick() {
  const std::uint64_t ticks = __rdtsc() - first_tick.ticks;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - first_tick.at;
  return elapsed.count() / static_cast<double>(std::max<std::uint64_t>(ticks, 1));
}

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
  explicit State(int n_threads)
      : arena(n_threads, 1), busy(static_cast<std::size_t>(n_threads - 1)) {}

  struct Helper;
  static void enter(State* state);
  void help();
  bool wait_for_region(std::uint64_t* last_region);
  // Claims chunks until there are none; returns the ticks that it took.
  std::uint64_t work() {
    const std::uint64_t begin = __rdtsc();
    for (;;) {
      std::int64_t chunk = next_chunk.fetch_add(1, std::memory_order_relaxed);
      if (chunk >= chunks) return __rdtsc() - begin;
      const Job* job = jobs.data();
      for (; chunk >= job->chunks_; ++job) chunk -= job->chunks_;
      job->run_chunk(chunk);
    }
  }

  tbb::task_arena arena;
  tbb::task_group group;
  // Written by the caller while the gate is closed and nobody is inside.
  std::span<const Job> jobs;
  std::int64_t chunks = 0;  // of all jobs
  alignas(64) std::atomic<std::uint64_t> gate{0};
  alignas(64) std::atomic<std::int64_t> next_chunk{0};
  alignas(64) std::atomic<int> sleepers{0};
  std::atomic<int> wakes{0};  // what sleepers wait on: an int, so that the wait is a plain futex
  std::atomic<bool> stop{false};
  std::atomic<int> helpers{0};  // that have not ended
  struct alignas(64) BusyTicks {
    std::atomic<std::uint64_t> sum{0};  // written by one helper
  };
  std::vector<BusyTicks> busy;  // by helper
  std::atomic<std::size_t> numbered{0};
};

// Spins, then sleeps, until a region opens that this helper has not seen; false when the team ends.
bool Team::State::wait_for_region(std::uint64_t* last_region) {
  const auto is_new = [&] {
    const std::uint64_t now = gate.load(std::memory_order_seq_cst);
    if ((now & kOpen) == 0 || now / kRegionUnit == *last_region) return false;
    *last_region = now / kRegionUnit;
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
  std::atomic<std::uint64_t>& ticks = busy[numbered.fetch_add(1, std::memory_order_relaxed)].sum;
  std::uint64_t last_region = 0;
  while (wait_for_region(&last_region)) {
    const std::uint64_t before = gate.fetch_add(kHelperUnit, std::memory_order_seq_cst);
    if ((before & kOpen) != 0) {
      last_region = before / kRegionUnit;
      ticks.store(ticks.load(std::memory_order_relaxed) + work(), std::memory_order_relaxed);
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

void Team::run_here(std::span<const Job> jobs) {
  const std::uint64_t begin = __rdtsc();
  for (const Job& job : jobs) {
    if (job.items_ > 0) job.invoke_(job.function_, job.args_, {0, job.items_});
  }
  busy_ticks_ += __rdtsc() - begin;
}

double Team::busy_s() const {
  std::uint64_t ticks = busy_ticks_;
  if (state_ != nullptr) {
    for (const State::BusyTicks& helper : state_->busy) {
      ticks += helper.sum.load(std::memory_order_relaxed);
    }
  }
  return static_cast<double>(ticks) * seconds_per_tick();
}

void Team::run(std::span<const Job> jobs) {
  WINDLASS_CHECK(jobs.size() <= kMostJobs, jobs.size());
  std::int64_t chunks = 0;
  for (const Job& job : jobs) {
    WINDLASS_CHECK(job.grain_ >= 1 && job.items_ >= 0, job.items_, job.grain_);
    chunks += job.chunks_;
  }
  if (chunks <= 1 || n_threads_ == 1) return run_here(jobs);
  ++n_regions_;
  State& state = *state_;
  state.jobs = jobs;
  state.chunks = chunks;
  state.next_chunk.store(0, std::memory_order_relaxed);
  state.gate.fetch_add(kRegionUnit | kOpen, std::memory_order_seq_cst);
  if (state.sleepers.load(std::memory_order_seq_cst) > 0) {
    state.wakes.fetch_add(1, std::memory_order_seq_cst);
    state.wakes.notify_all();
  }
  busy_ticks_ += state.work();
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

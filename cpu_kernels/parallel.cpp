// The team of threads that runs one region at a time. A helper joins without a lock: it writes into
// its seat which region it joins and looks at the gate again; the caller closes the gate and then
// looks at the seats. So no helper ever reads a job that the caller is replacing, and one that
// comes late sees a closed gate. Where all have joined the gate need not be closed, and a region
// costs the caller two cache lines: the gate that it writes, and the seat that it reads.
#include <immintrin.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

#include "cpu_kernels/cores.h"
#include "cpu_kernels/lanes.h"
#include "cpu_kernels/op_table.h"
#include "cpu_kernels/thread_probe.h"
#include "cpu_kernels/topology.h"
#include "src/base/check.h"

#ifdef __SANITIZE_THREAD__
extern "C" const char* __tsan_default_suppressions() {
  return "race_top:oneapi/tbb/\ncalled_from_lib:libtbb.so\n";
}
#endif

namespace windlass {
namespace {

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

// Brings a cache line here that will be written soon, without waiting for it.
void own_line(const void* line) {
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(line)));
}

std::vector<int> cores_of(const std::vector<NumaNode>& nodes) {
  std::vector<int> cores;
  for (const NumaNode& node : nodes) cores.push_back(node.cores);
  return cores;
}

// Those that get a thread of so many.
std::vector<NumaNode> nodes_in_use(const Topology& machine, int n_threads) {
  std::vector<NumaNode> nodes = machine.nodes(machine.cpus());
  const ThreadNodes threads(n_threads, cores_of(nodes));
  std::vector<NumaNode> used;
  for (int i = 0; i < threads.n_nodes(); ++i) {
    if (threads.begin(i) < threads.end(i))
      used.push_back(std::move(nodes[static_cast<std::size_t>(i)]));
  }
  return used;
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

// Keeps the thread that makes it on some CPUs as long as it lives.
class Team::Binding {
 public:
  Binding(const Topology& topology, const std::vector<int>& cpus)
      : topology_(topology), before_(affinity_cpus()) {
    topology_.bind_thread(cpus);
  }
  ~Binding() { topology_.bind_thread(before_); }
  Binding(const Binding&) = delete;
  Binding& operator=(const Binding&) = delete;

 private:
  const Topology& topology_;
  std::vector<int> before_;
};

struct Team::State {
  State(int n_threads, const Topology& machine)
      : topology(machine),
        nodes(nodes_in_use(machine, n_threads)),
        threads_of(n_threads, cores_of(nodes)),
        arena(n_threads, 1),
        seats(static_cast<std::size_t>(n_threads)) {}

  struct Helper;
  struct Cut;
  struct Seat;
  static void enter(State* state);
  void help();
  std::uint64_t wait_for_region(std::uint64_t last_region, const Seat& seat);
  void open(std::span<const Job> new_jobs);
  void close();
  void work(const LaneOrder& order);
  void steal(const Cut& cut, std::int64_t lane, Seat& seat);
  void run_chunks(const Cut& cut, std::int64_t lane, ChunkRange claim) const;
  std::uint64_t busy_ticks() const;
  const NumaNode& node_of(int thread) const {
    return nodes[static_cast<std::size_t>(threads_of.node_of(thread))];
  }

  // Region * 2, plus 1 while it is open. Helpers look at it all the time: nothing else is written
  // in its line.
  alignas(128) std::atomic<std::uint64_t> gate{0};
  // Written by the caller while nobody is inside. Most regions have one job: they come in a line.
  alignas(128) std::size_t n_jobs = 0;
  std::array<Job, kMostJobs> jobs;

  // A thread's line. The one to whom it belongs writes it most of the time; others look at it when
  // they have no work left, for some of this thread's, and the caller for whether it is inside.
  struct alignas(128) Seat {
    Lane lane;
    std::atomic<std::uint64_t> joined{0};  // the last region seen * 2, plus 1 while inside
    std::atomic<std::uint64_t> busy_ticks{0};

    void add_ticks(std::uint64_t ticks) {
      busy_ticks.store(busy_ticks.load(std::memory_order_relaxed) + ticks,
                       std::memory_order_relaxed);
    }
  };

  alignas(128) std::atomic<int> sleepers{0};
  std::atomic<int> wakes{0};  // what sleepers wait on: an int, so that the wait is a plain futex
  std::atomic<bool> stop{false};
  std::atomic<int> helpers{0};   // that have not ended
  std::atomic<int> numbered{1};  // the caller is 0
  const Topology& topology;
  const std::vector<NumaNode> nodes;
  const ThreadNodes threads_of;
  tbb::task_arena arena;
  tbb::task_group group;
  std::vector<Seat> seats;  // by thread
};

// Of all threads in regions.
std::uint64_t Team::State::busy_ticks() const {
  std::uint64_t sum = 0;
  for (const Seat& seat : seats) sum += seat.busy_ticks.load(std::memory_order_relaxed);
  return sum;
}

// How the open region's jobs are divided: each thread's own copy, which stays true when the region
// ends.
struct Team::State::Cut {
  Cut(const State& state, std::uint64_t open_region)
      : region(open_region), n_jobs(state.n_jobs), n_lanes(std::ssize(state.seats)) {
    std::int64_t sum = 0;
    for (std::size_t j = 0; j < n_jobs; ++j) {
      chunks[j] = state.jobs[j].chunks_;
      phases[j] = sum % n_lanes;
      sum += chunks[j];
    }
  }
  ChunkRange share(std::size_t job, std::int64_t lane) const {
    return lane_chunks(chunks[job], phases[job], lane, n_lanes);
  }
  std::int64_t count(std::int64_t lane) const {
    std::int64_t sum = 0;
    for (std::size_t j = 0; j < n_jobs; ++j) sum += share(j, lane).count();
    return sum;
  }

  std::uint64_t region;
  std::size_t n_jobs;
  std::int64_t n_lanes;
  std::array<std::int64_t, kMostJobs> chunks, phases;  // of the first n_jobs
};

void Team::State::run_chunks(const Cut& cut, std::int64_t lane, ChunkRange claim) const {
  for (std::size_t j = 0; claim.end > 0; ++j) {
    const ChunkRange share = cut.share(j, lane);
    const std::int64_t end = std::min(claim.end, share.count());
    if (claim.begin < end) jobs[j].run_chunks(share.begin + claim.begin, share.begin + end);
    claim = {std::max(claim.begin - share.count(), std::int64_t{0}), claim.end - share.count()};
  }
}

// Own chunks first. What is left of others' after that is rarely worth a wait, and to look for it
// takes as long as a transfer between cores: so the thread counts as outside meanwhile.
// REQUIRES: inside, or the caller.
void Team::State::work(const LaneOrder& order) {
  std::uint64_t begin = __rdtsc();
  const Cut cut(*this, gate.load(std::memory_order_relaxed) / 2);
  const std::int64_t own = order.lane(0);
  Seat& seat = seats[static_cast<std::size_t>(own)];
  const std::int64_t chunks = cut.count(own);
  for (ChunkRange claim; (claim = seat.lane.claim(cut.region, chunks)).count() > 0;) {
    run_chunks(cut, own, claim);
  }
  seat.add_ticks(__rdtsc() - begin);
  seat.joined.store(cut.region * 2, std::memory_order_release);
  for (int visited = 1; visited < threads_of.n_threads(); ++visited) {
    steal(cut, order.lane(visited), seat);
  }
}

// A claim that succeeds shows that the region goes on: its end waits for all chunks to be claimed,
// and then for those whose seats say that they are inside, which is written before the claim.
void Team::State::steal(const Cut& cut, std::int64_t lane, Seat& seat) {
  Lane& from = seats[static_cast<std::size_t>(lane)].lane;
  const std::int64_t chunks = cut.count(lane);
  while (from.has_left(cut.region, chunks)) {
    seat.joined.store(cut.region * 2 + 1, std::memory_order_release);
    const std::uint64_t begin = __rdtsc();
    const ChunkRange claim = from.claim(cut.region, chunks);
    if (claim.count() > 0) {
      run_chunks(cut, lane, claim);
      seat.add_ticks(__rdtsc() - begin);
    }
    seat.joined.store(cut.region * 2, std::memory_order_release);
  }
}

// Spins, then sleeps, until a region after last_region opens; returns it, or 0 when the team ends.
std::uint64_t Team::State::wait_for_region(std::uint64_t last_region, const Seat& seat) {
  const auto is_new = [&](std::uint64_t now) { return now % 2 == 1 && now / 2 != last_region; };
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kPausesPerLook; ++i) {
      if (stop.load(std::memory_order_relaxed)) return 0;
      const std::uint64_t now = gate.load(std::memory_order_acquire);
      if (is_new(now)) return now / 2;
      own_line(&seat);
      _mm_pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  for (;;) {
    const int seen = wakes.load(std::memory_order_seq_cst);
    sleepers.fetch_add(1, std::memory_order_seq_cst);
    // The caller opens the gate and then looks for sleepers; we register and then look at the gate.
    std::uint64_t now = gate.load(std::memory_order_seq_cst);
    const bool ended = stop.load(std::memory_order_seq_cst);
    if (!is_new(now) && !ended) wakes.wait(seen, std::memory_order_seq_cst);
    sleepers.fetch_sub(1, std::memory_order_seq_cst);
    if (ended) return 0;
    now = gate.load(std::memory_order_seq_cst);
    if (is_new(now)) return now / 2;
  }
}

void Team::State::help() {
  const int number = numbered.fetch_add(1, std::memory_order_relaxed);
  const LaneOrder order = threads_of.order(number);
  std::optional<Binding> binding;
  if (nodes.size() > 1) binding.emplace(topology, node_of(number).cpus);
  Seat& seat = seats[static_cast<std::size_t>(number)];
  std::uint64_t last_region = 0;
  while ((last_region = wait_for_region(last_region, seat)) != 0) {
    __builtin_prefetch(&n_jobs);
    seat.joined.store(last_region * 2 + 1, std::memory_order_seq_cst);
    if (gate.load(std::memory_order_seq_cst) == last_region * 2 + 1) {
      work(order);
    } else {
      seat.joined.store(last_region * 2, std::memory_order_release);
    }
  }
}

void Team::State::open(std::span<const Job> new_jobs) {
  own_line(&seats[0]);
  n_jobs = new_jobs.size();
  std::copy(new_jobs.begin(), new_jobs.end(), jobs.begin());
  const std::uint64_t region = gate.load(std::memory_order_relaxed) / 2 + 1;
  gate.store(region * 2 + 1, std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) == 0) return;
  wakes.fetch_add(1, std::memory_order_seq_cst);
  wakes.notify_all();
}

// When it returns nobody is inside, and nobody comes any more.
void Team::State::close() {
  const std::uint64_t region = gate.load(std::memory_order_relaxed) / 2;
  const auto has_joined = [&](const Seat& seat) {
    return seat.joined.load(std::memory_order_acquire) / 2 == region;
  };
  // Who has joined does not do so twice.
  const std::span helpers_seats = std::span(seats).subspan(1);
  if (!std::all_of(helpers_seats.begin(), helpers_seats.end(), has_joined)) {
    gate.store(region * 2, std::memory_order_seq_cst);
  }
  for (const Seat& seat : helpers_seats) {
    // Those inside are in their last claim. One that lost its core gets ours after a while.
    for (int spins = 0; seat.joined.load(std::memory_order_seq_cst) == region * 2 + 1; ++spins) {
      if (spins < 4096) {
        _mm_pause();
      } else {
        std::this_thread::yield();
      }
    }
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

Team::Team(int n_threads) : Team(n_threads, machine_topology()) {}

Team::Team(int n_threads, const Topology& topology) {
  WINDLASS_CHECK(n_threads >= 1 && n_threads <= kMostThreads, n_threads);
  n_threads_ = 1 + startable_threads(n_threads - 1);
  if (n_threads_ == 1) return;
  allow_helpers();
  state_ = std::make_unique<State>(n_threads_, topology);
  state_->helpers.store(n_threads_ - 1, std::memory_order_release);
  for (int i = 1; i < n_threads_; ++i) {
    state_->arena.enqueue(state_->group.defer(State::Helper{state_.get()}));
  }
  if (n_nodes() > 1) binding_ = std::make_unique<Binding>(topology, state_->node_of(0).cpus);
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
  alone_ticks_ += __rdtsc() - begin;
}

int Team::n_nodes() const { return state_ == nullptr ? 1 : state_->threads_of.n_nodes(); }

void Team::place_by_items(std::span<std::byte> memory, std::int64_t page_bytes) const {
  if (n_nodes() == 1 || std::ssize(memory) < 2 * n_nodes() * page_bytes) return;
  const auto address = reinterpret_cast<std::intptr_t>(memory.data());
  for (int node = 0; node < n_nodes(); ++node) {
    const ByteRange bytes =
        node_bytes(state_->threads_of, node, address, std::ssize(memory), page_bytes);
    state_->topology.bind_memory(
        {memory.data() + bytes.begin, static_cast<std::size_t>(bytes.end - bytes.begin)},
        state_->nodes[static_cast<std::size_t>(node)]);
  }
}

void Team::interleave(std::span<std::byte> memory) const {
  if (n_nodes() > 1) state_->topology.interleave_memory(memory, state_->nodes);
}

double Team::busy_s() const {
  const std::uint64_t in_regions = state_ == nullptr ? 0 : state_->busy_ticks();
  return static_cast<double>(alone_ticks_ + in_regions) * seconds_per_tick();
}

double Team::region_overhead_s() const {
  if (state_ == nullptr) return 0;
  const std::uint64_t all = region_ticks_ * static_cast<std::uint64_t>(n_threads_);
  return static_cast<double>(all - state_->busy_ticks()) * seconds_per_tick();
}

void Team::run(std::span<const Job> jobs) {
  WINDLASS_CHECK(jobs.size() <= kMostJobs, jobs.size());
  std::int64_t chunks = 0;
  for (const Job& job : jobs) {
    WINDLASS_CHECK(job.grain_ >= 1 && job.items_ >= 0, job.items_, job.grain_);
    chunks += job.chunks_;
  }
  if (chunks <= 1 || n_threads_ == 1) return run_here(jobs);
  WINDLASS_CHECK(chunks <= Lane::kMostChunks, chunks);
  ++n_regions_;
  State& state = *state_;
  const std::uint64_t begin = __rdtsc();
  state.open(jobs);
  state.work(state.threads_of.order(0));
  state.close();
  region_ticks_ += __rdtsc() - begin;
}

}  // namespace windlass

// The team of threads: every item once, whatever the team's size and the chunks' grain.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <set>
#include <thread>

#include "cpu_kernels/op_table.h"
#include "cpu_kernels/topology.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

struct CountArgs {
  std::atomic<int>* counts;
};

void count(const CountArgs& args, WorkRange range) {
  for (std::int64_t i = range.begin; i < range.end; ++i) {
    args.counts[i].fetch_add(1, std::memory_order_relaxed);
  }
}

// Writes without atomics: a race would show under the thread sanitizer.
struct FillArgs {
  std::int64_t* out;
  std::int64_t value;
};

void fill(const FillArgs& args, WorkRange range) {
  for (std::int64_t i = range.begin; i < range.end; ++i) args.out[i] += args.value;
}

// Writes down who has each item. Nobody ends his first claim before all have made theirs.
struct OwnerArgs {
  std::thread::id* owners;
  std::atomic<int>* missing;
};

void note_owner(const OwnerArgs& args, WorkRange range) {
  for (std::int64_t i = range.begin; i < range.end; ++i)
    args.owners[i] = std::this_thread::get_id();
  args.missing->fetch_sub(1);
  while (args.missing->load() > 0) std::this_thread::yield();
}

// What `body` writes to standard error.
template <typename Body>
std::string standard_error_of(Body body) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), &std::fclose);
  REQUIRE(file != nullptr);
  const int before = dup(STDERR_FILENO);
  dup2(fileno(file.get()), STDERR_FILENO);
  body();
  dup2(before, STDERR_FILENO);
  close(before);
  std::string text(4096, '\0');
  text.resize(static_cast<std::size_t>(
      std::max<ssize_t>(pread(fileno(file.get()), text.data(), text.size(), 0), 0)));
  return text;
}

}  // namespace

TEST_CASE("a team runs each item exactly once") {
  for (const int n_threads : {1, 2, 3, 8}) {
    Team team(n_threads);
    REQUIRE(team.n_threads() == n_threads);
    for (const std::int64_t items : {0, 1, 2, 7, 64, 1000}) {
      for (const std::int64_t grain : {1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> counts(static_cast<std::size_t>(items) + 1);
        team.run(&count, CountArgs{counts.data()}, items, grain);
        for (std::int64_t i = 0; i < items; ++i) REQUIRE(counts[static_cast<std::size_t>(i)] == 1);
        REQUIRE(counts.back() == 0);
      }
    }
  }
}

TEST_CASE("a region runs each item of each of its ops exactly once") {
  for (const int n_threads : {1, 2, 3, 8}) {
    Team team(n_threads);
    for (const std::size_t n_jobs : {0UL, 1UL, 2UL, Team::kMostJobs}) {
      std::vector<std::vector<std::atomic<int>>> counts;
      std::vector<CountArgs> args;
      for (std::size_t j = 0; j < n_jobs; ++j) {
        counts.emplace_back(j % 5 * 40 + 1);  // the last must stay 0
        args.push_back({counts.back().data()});
      }
      std::vector<Team::Job> jobs;
      for (std::size_t j = 0; j < n_jobs; ++j) {
        jobs.emplace_back(&count, args[j], std::ssize(counts[j]) - 1, 1 + static_cast<int>(j) % 7);
      }
      team.run(jobs);
      for (const auto& job : counts) {
        for (std::size_t i = 0; i + 1 < job.size(); ++i) REQUIRE(job[i] == 1);
        REQUIRE(job.back() == 0);
      }
    }
  }
}

TEST_CASE("a team on two nodes runs each item exactly once") {
  const Topology machine("numanode:2 core:4 pu:2");
  for (const int n_threads : {2, 3, 8}) {
    Team team(n_threads, machine);
    CHECK(team.n_nodes() == 2);
    for (const std::int64_t items : {1, 7, 64, 1000}) {
      for (int round = 0; round < 200; ++round) {
        std::vector<std::atomic<int>> counts(static_cast<std::size_t>(items) + 1);
        team.run(&count, CountArgs{counts.data()}, items, 3);
        for (std::int64_t i = 0; i < items; ++i) REQUIRE(counts[static_cast<std::size_t>(i)] == 1);
        REQUIRE(counts.back() == 0);
      }
    }
  }
}

TEST_CASE("each thread begins with its own share, wherever its node is") {
  const Topology machine("numanode:2 core:4 pu:2");
  constexpr int kThreads = 4;
  constexpr std::int64_t kShare = 16;
  Team team(kThreads, machine);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::thread::id> owners(kThreads * kShare);
    std::atomic<int> missing{kThreads};
    team.run(&note_owner, OwnerArgs{owners.data(), &missing}, kThreads * kShare, 1);
    std::set<std::thread::id> first;
    for (std::size_t thread = 0; thread < kThreads; ++thread) {
      const std::size_t begin = thread * kShare;
      first.insert(owners[begin]);
      // The first claim: half of the share.
      for (std::size_t i = 1; i < kShare / 2; ++i) REQUIRE(owners[begin + i] == owners[begin]);
    }
    REQUIRE(first.size() == kThreads);
    REQUIRE(owners[0] == std::this_thread::get_id());
  }
}

TEST_CASE("what the threads did is counted, and what they waited is not") {
  Team team(2);
  std::vector<std::int64_t> out(1 << 16, 0);
  team.run(&fill, FillArgs{out.data(), 1}, std::ssize(out), 1024);
  const double worked_s = team.busy_s();
  CHECK(worked_s > 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(team.busy_s() < worked_s + 1e-3);
  const double overhead_s = team.region_overhead_s();
  CHECK(overhead_s > 0);
  team.run(&fill, FillArgs{out.data(), 1}, std::ssize(out), std::ssize(out));  // one chunk
  CHECK(team.busy_s() > worked_s);
  CHECK(team.region_overhead_s() == Approx(overhead_s).epsilon(0.01));  // the clock's own drift
}

TEST_CASE("ops follow each other in order, each seeing all of the last one's writes") {
  Team team(2);
  std::vector<std::int64_t> out(256, 0);
  constexpr std::int64_t kOps = 20000;
  for (std::int64_t op = 1; op <= kOps; ++op) {
    team.run(&fill, FillArgs{out.data(), op}, 256, op % 2 == 0 ? 16 : 64);
  }
  for (const std::int64_t value : out) REQUIRE(value == kOps * (kOps + 1) / 2);
}

TEST_CASE("helpers that fell asleep between ops wake for the next") {
  Team team(2);
  std::vector<std::int64_t> out(64, 0);
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(
        std::chrono::milliseconds(2));  // longer than a helper spins; not needed to pass
    team.run(&fill, FillArgs{out.data(), 1}, 64, 1);
  }
  for (const std::int64_t value : out) REQUIRE(value == 20);
}

TEST_CASE("teams come and go, used or not") {
  for (int i = 0; i < 50; ++i) {
    Team idle(2), busy(2);
    std::vector<std::int64_t> out(64, 0);
    busy.run(&fill, FillArgs{out.data(), 1}, 64, 1);
    for (const std::int64_t value : out) REQUIRE(value == 1);
  }
}

TEST_CASE("teams of any sizes side by side work without a word on standard error") {
  const std::string said = standard_error_of([] {
    Team one(1), two(2), three(3), many(300);
    for (Team* team : {&one, &two, &three, &many}) {
      std::vector<std::int64_t> out(64, 0);
      team->run(&fill, FillArgs{out.data(), 1}, 64, 1);
      for (const std::int64_t value : out) REQUIRE(value == 1);
    }
    const Team more(400);
  });
  CHECK(said == "");
}

TEST_CASE("the cut of an op covers all its items in whole panels") {
  MatMulArgs args = {};
  for (const std::int64_t n_out : {1, 64, 576, 1536, 49152}) {
    for (const std::int64_t row_bytes : {18, 360, 4608, 1 << 20}) {
      for (const std::int64_t n_tokens : {1, 16, 512}) {
        args.n_out = n_out;
        args.row_bytes = row_bytes;
        args.n_tokens = n_tokens;
        for (const int n_threads : {1, 2, 16}) {
          const std::int64_t grain = op_grain(args, n_threads);
          const std::int64_t step = n_tokens == 1 ? 16 : 32;
          REQUIRE(grain >= step);
          REQUIRE(grain % step == 0);
          const bool big = n_out * row_bytes * n_tokens >= 64 * n_threads << 15;
          if (big && n_out >= 64 * n_threads) REQUIRE(grain * n_threads <= n_out);
        }
      }
    }
  }
  REQUIRE(op_items(args) == 49152);
}

}  // namespace windlass::test

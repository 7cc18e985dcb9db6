// Systems that refuse threads: a team is smaller then, and computes the same.
#include "cpu_kernels/op_table.h"
#include "cpu_kernels/thread_probe.h"
#include "tests/support/catch.h"
#include "tests/support/child_process.h"
#include "tests/support/process_limits.h"

namespace windlass::test {
namespace {

struct SquareArgs {
  std::int64_t* out;
};

void square(const SquareArgs& args, WorkRange range) {
  for (std::int64_t i = range.begin; i < range.end; ++i) args.out[i] = i * i;
}

bool computes(Team& team) {
  std::vector<std::int64_t> out(1000, -1);
  team.run(&square, SquareArgs{out.data()}, 1000, 1);
  for (std::int64_t i = 0; i < 1000; ++i) {
    if (out[static_cast<std::size_t>(i)] != i * i) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("where no thread can be started a team is its caller alone") {
  const ChildResult child = run_in_child([] {
    if (!forbid_threads()) return 1;
    Team team(32);
    if (team.n_threads() != 1) return 2;
    return computes(team) ? 0 : 3;
  });
  INFO(child.output);
  CHECK(child.exit_status == 0);
}

TEST_CASE("as many threads can be started as the address space holds, time and again") {
  if (!kAddressSpaceCanBeLimited) return;
  const ChildResult child = run_in_child([] {
    startable_threads(1);  // glibc unmaps the stacks that the fork left behind
    if (!leave_address_space(std::int64_t{1} << 30)) return 1;
    const int granted = startable_threads(256);
    if (granted < 2 || granted > 8) return 2;  // of 129 MiB each
    for (int i = 0; i < 50; ++i) {
      if (startable_threads(256) != granted) return 3;
    }
    return startable_threads(granted - 1) == granted - 1 ? 0 : 4;
  });
  INFO(child.output);
  CHECK(child.exit_status == 0);
}

TEST_CASE("without a limit all threads that are asked for can be started") {
  CHECK(startable_threads(0) == 0);
  CHECK(startable_threads(1) == 1);
  CHECK(startable_threads(100) == 100);
}

TEST_CASE("a team of many more threads than cores computes and ends") {
  Team team(200);
  CHECK(team.n_threads() == 200);
  for (int i = 0; i < 20; ++i) CHECK(computes(team));
}

}  // namespace windlass::test

// A team on a machine of two NUMA nodes: hwloc says that this one's first two CPUs are on a node
// each, and binds for real. Memory of the second node does not exist: the system refuses, and the
// pages stay where they are.
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "cpu_kernels/cores.h"
#include "cpu_kernels/op_table.h"
#include "cpu_kernels/topology.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

// This machine with its first two CPUs on nodes of their own; nothing where it has not got them.
std::optional<Topology> two_nodes() {
  const std::vector<int> cpus = affinity_cpus();
  if (cpus.size() < 2 || cpus[0] != 0 || cpus[1] != 1) {
    std::puts("skipped: CPUs 0 and 1 are not this process's");
    return std::nullopt;
  }
  setenv("HWLOC_SYNTHETIC", "numanode:2 core:1 pu:1", 1);
  setenv("HWLOC_THISSYSTEM", "1", 1);
  std::optional<Topology> topology(std::in_place);
  unsetenv("HWLOC_SYNTHETIC");
  unsetenv("HWLOC_THISSYSTEM");
  return topology;
}

struct WhereArgs {
  std::mutex* mutex;
  std::set<std::vector<int>>* masks;
  std::atomic<int>* missing;
};

// Every thread of the team does one.
void note_mask(const WhereArgs& args, WorkRange) {
  {
    const std::lock_guard lock(*args.mutex);
    args.masks->insert(affinity_cpus());
  }
  args.missing->fetch_sub(1);
  while (args.missing->load() > 0) std::this_thread::yield();
}

std::set<std::vector<int>> masks_of(Team& team) {
  std::mutex mutex;
  std::set<std::vector<int>> masks;
  std::atomic<int> missing{team.n_threads()};
  team.run(&note_mask, WhereArgs{&mutex, &masks, &missing}, team.n_threads(), 1);
  return masks;
}

int policy_at(const std::byte* address) {
  int policy = -1;
  syscall(SYS_get_mempolicy, &policy, nullptr, 0, address, MPOL_F_ADDR);
  return policy;
}

}  // namespace

TEST_CASE("threads keep to their nodes, the caller as long as the team lives") {
  const std::optional<Topology> machine = two_nodes();
  if (!machine) return;
  const std::vector<int> before = affinity_cpus();
  {
    Team team(2, *machine);
    REQUIRE(team.n_nodes() == 2);
    CHECK(affinity_cpus() == std::vector<int>{0});
    CHECK(masks_of(team) == std::set<std::vector<int>>{{0}, {1}});
  }
  CHECK(affinity_cpus() == before);
  Team team(2);  // its helper may be a thread that the first team's was
  for (const std::vector<int>& mask : masks_of(team)) CHECK(mask == before);
}

TEST_CASE("memory goes to the nodes of those who claim its items, or to all in turn") {
  const std::optional<Topology> machine = two_nodes();
  if (!machine) return;
  constexpr std::int64_t kPage = 4096, kSize = 64 * kPage;
  void* mapping = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(mapping != MAP_FAILED);
  const std::span memory(static_cast<std::byte*>(mapping), static_cast<std::size_t>(kSize));
  const int untouched = policy_at(memory.data());
  Team(1, *machine).interleave(memory);
  Team(2).place_by_items(memory, kPage);  // of the real machine
  if (machine_topology().nodes(affinity_cpus()).size() == 1) {
    CHECK(policy_at(memory.data()) == untouched);
  }
  const Team team(2, *machine);
  team.interleave(memory);
  const int interleaved = policy_at(memory.data());
  if (interleaved == MPOL_INTERLEAVE) {  // else the system refuses all policies
    team.place_by_items(memory.first(3 * kPage), kPage);
    CHECK(policy_at(memory.data()) == MPOL_INTERLEAVE);  // too small
    team.place_by_items(memory, kPage);
    CHECK(policy_at(memory.data()) != MPOL_INTERLEAVE);
    CHECK(policy_at(memory.data() + kSize / 2 - kPage) == policy_at(memory.data()));
  } else {
    std::puts("skipped: the system refuses memory policies");
  }
  munmap(mapping, static_cast<std::size_t>(kSize));
}

}  // namespace windlass::test

// Cores and NUMA nodes of machines that hwloc makes up, and of this one.
#include "cpu_kernels/topology.h"

#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <numeric>

#include "cpu_kernels/cores.h"
#include "tests/support/catch.h"

namespace windlass::test {
namespace {

std::vector<int> first_cpus(int n) {
  std::vector<int> cpus(static_cast<std::size_t>(n));
  std::iota(cpus.begin(), cpus.end(), 0);
  return cpus;
}

// The system's policy for this memory; -1 where it does not say.
int policy_of(std::span<std::byte> memory) {
  int policy = -1;
  const long status = syscall(SYS_get_mempolicy, &policy, nullptr, 0, memory.data(), MPOL_F_ADDR);
  return status == 0 ? policy : -1;
}

}  // namespace

TEST_CASE("hardware threads of one core count once, and only those of the mask count") {
  const Topology apart("core:4 pu:2(indexes=0,4,1,5,2,6,3,7)");
  CHECK(apart.n_cores(first_cpus(8)) == 4);
  CHECK(apart.n_cores({0, 4}) == 1);
  CHECK(apart.n_cores({0, 1, 5}) == 2);
  CHECK(apart.n_cores({6}) == 1);
  const Topology side_by_side("core:2 pu:2");
  CHECK(side_by_side.n_cores({0, 1, 2}) == 2);
  CHECK(side_by_side.n_cores({1, 3}) == 2);
}

TEST_CASE("a CPU about which nothing is known is a core of its own") {
  const Topology topology("core:2 pu:2");
  CHECK(topology.n_cores({0, 1, 8, 9}) == 3);
  const std::vector<NumaNode> nodes = topology.nodes({0, 1, 8, 9});
  REQUIRE(nodes.size() == 1);
  CHECK(nodes[0].cpus == std::vector<int>{0, 1, 8, 9});
  CHECK(nodes[0].cores == 3);
}

TEST_CASE("nodes have the CPUs and cores that the mask leaves them") {
  const Topology topology("numanode:2 core:4 pu:2");
  const std::vector<NumaNode> all = topology.nodes(first_cpus(16));
  REQUIRE(all.size() == 2);
  CHECK(all[0].number == 0);
  CHECK(all[0].cpus == first_cpus(8));
  CHECK(all[0].cores == 4);
  CHECK(all[1].number == 1);
  CHECK(all[1].cpus == std::vector<int>{8, 9, 10, 11, 12, 13, 14, 15});
  CHECK(all[1].cores == 4);

  const std::vector<NumaNode> some = topology.nodes({2, 3, 4, 9, 10});
  REQUIRE(some.size() == 2);
  CHECK(some[0].cpus == std::vector<int>{2, 3, 4});
  CHECK(some[0].cores == 2);
  CHECK(some[1].cpus == std::vector<int>{9, 10});
  CHECK(some[1].cores == 2);

  const std::vector<NumaNode> one = topology.nodes({9, 11});
  REQUIRE(one.size() == 1);
  CHECK(one[0].number == 1);
}

TEST_CASE("nodes inside a package count") {
  const Topology topology("pack:2 numa:2 core:2 pu:1");
  const std::vector<NumaNode> nodes = topology.nodes(topology.cpus());
  REQUIRE(nodes.size() == 4);
  CHECK(nodes[3].cpus == std::vector<int>{6, 7});
}

TEST_CASE("of memories that are as near, the first is a CPU's node") {
  const Topology topology("[numa] [numa] core:2 pu:1");
  const std::vector<NumaNode> nodes = topology.nodes({0, 1});
  REQUIRE(nodes.size() == 1);
  CHECK(nodes[0].cpus == std::vector<int>{0, 1});
}

TEST_CASE("binding on a made-up machine changes nothing") {
  const Topology topology("numanode:2 core:4 pu:2");
  const std::vector<int> before = affinity_cpus();
  CHECK(topology.bind_thread({0}));
  CHECK(affinity_cpus() == before);
}

TEST_CASE("this machine's nodes have this process's CPUs, and threads and memory bind to them") {
  const Topology& machine = machine_topology();
  const std::vector<int> cpus = affinity_cpus();
  std::size_t n_cpus = 0;
  for (const NumaNode& node : machine.nodes(cpus)) {
    n_cpus += node.cpus.size();
    CHECK(node.cores >= 1);
    REQUIRE(machine.bind_thread(node.cpus));
    CHECK(affinity_cpus() == node.cpus);
    REQUIRE(machine.bind_thread(cpus));
  }
  CHECK(n_cpus == cpus.size());
  CHECK(affinity_cpus() == cpus);

  constexpr std::size_t kSize = 1 << 20;
  void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  const std::span<std::byte> bytes(static_cast<std::byte*>(memory), kSize);
  const NumaNode node = machine.nodes(cpus).front();
  // A system without NUMA, or a container, may refuse.
  if (machine.bind_memory(bytes, node)) {
    CHECK((policy_of(bytes) == MPOL_PREFERRED || policy_of(bytes) == MPOL_PREFERRED_MANY));
  }
  if (machine.interleave_memory(bytes, {node})) CHECK(policy_of(bytes) == MPOL_INTERLEAVE);
  munmap(memory, kSize);
}

}  // namespace windlass::test

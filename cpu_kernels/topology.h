// Where the machine's CPUs and its memory are: physical cores and NUMA nodes. The one place that
// knows hwloc.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

struct hwloc_topology;

namespace windlass {

// Memory, and the CPUs that it is nearest to.
struct NumaNode {
  unsigned number = 0;    // the system's
  std::vector<int> cpus;  // ascending
  int cores = 0;          // physical ones that these belong to
};

// Immutable: thread-safe. Of a topology that was made up, binding does nothing and succeeds.
class Topology {
 public:
  Topology();  // this machine; 3 ms, more where there are more CPUs
  // One that hwloc describes so: "numanode:2 core:4 pu:2". REQUIRES that it does.
  explicit Topology(const char* synthetic);

  // Those that the calling thread may run on, ascending; of a made-up topology, all.
  std::vector<int> cpus() const;
  // Physical cores that `cpus` are hardware threads of. A CPU about which nothing is known is a
  // core of its own.
  int n_cores(const std::vector<int>& cpus) const;
  // The nodes that `cpus` belong to, each with its part of them. One node, with all of them, where
  // one of them has no memory near it that this process may use, or nothing is known of it.
  std::vector<NumaNode> nodes(const std::vector<int>& cpus) const;

  // Lets the calling thread run on these CPUs only; false where the system refuses.
  bool bind_thread(const std::vector<int>& cpus) const;
  // The node that pages of this memory come from when they are first touched; of another where it
  // is full. Whole pages. False where the system refuses.
  bool bind_memory(std::span<std::byte> memory, const NumaNode& node) const;
  // As above, one page from each of the nodes in turn.
  bool interleave_memory(std::span<std::byte> memory, const std::vector<NumaNode>& nodes) const;

 private:
  struct Release {
    void operator()(hwloc_topology* topology) const;
  };
  bool set_policy(std::span<std::byte> memory, const std::vector<NumaNode>& nodes,
                  int policy) const;
  std::unique_ptr<hwloc_topology, Release> topology_;
};

// This machine's, looked up once.
const Topology& machine_topology();

}  // namespace windlass

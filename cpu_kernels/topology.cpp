#include "cpu_kernels/topology.h"

#include <hwloc.h>

#include <algorithm>
#include <set>

#include "cpu_kernels/cores.h"
#include "src/base/check.h"

namespace windlass {
namespace {

class Bitmap {
 public:
  Bitmap() : bits_(hwloc_bitmap_alloc()) { WINDLASS_CHECK(bits_ != nullptr); }
  ~Bitmap() { hwloc_bitmap_free(bits_); }
  Bitmap(const Bitmap&) = delete;
  Bitmap& operator=(const Bitmap&) = delete;
  void add(unsigned bit) { hwloc_bitmap_set(bits_, bit); }
  hwloc_const_bitmap_t get() const { return bits_; }

 private:
  hwloc_bitmap_t bits_;
};

hwloc_topology* load(const char* synthetic) {
  hwloc_topology_t topology = nullptr;
  WINDLASS_CHECK(hwloc_topology_init(&topology) == 0);
  // Caches, packages and devices take most of the time, and nobody asks for them. Without groups a
  // node's CPUs would be those of the next larger object.
  hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
  hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
  hwloc_topology_set_type_filter(topology, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
  if (synthetic != nullptr) {
    WINDLASS_CHECK(hwloc_topology_set_synthetic(topology, synthetic) == 0, synthetic);
  }
  WINDLASS_CHECK(hwloc_topology_load(topology) == 0);
  return topology;
}

bool holds(hwloc_const_bitmap_t bits, int bit) {
  return hwloc_bitmap_isset(bits, static_cast<unsigned>(bit)) != 0;
}

}  // namespace

Topology::Topology() : topology_(load(nullptr)) {}
Topology::Topology(const char* synthetic) : topology_(load(synthetic)) {}

void Topology::Release::operator()(hwloc_topology* topology) const {
  hwloc_topology_destroy(topology);
}

std::vector<int> Topology::cpus() const {
  if (hwloc_topology_is_thissystem(topology_.get()) != 0) return affinity_cpus();
  std::vector<int> cpus;
  const hwloc_const_bitmap_t all = hwloc_topology_get_topology_cpuset(topology_.get());
  for (int cpu = -1; (cpu = hwloc_bitmap_next(all, cpu)) >= 0;) cpus.push_back(cpu);
  return cpus;
}

int Topology::n_cores(const std::vector<int>& cpus) const {
  std::set<hwloc_obj_t> known;
  int unknown = 0;
  for (const int cpu : cpus) {
    const hwloc_obj_t pu =
        hwloc_get_pu_obj_by_os_index(topology_.get(), static_cast<unsigned>(cpu));
    const hwloc_obj_t core =
        pu == nullptr ? nullptr
                      : hwloc_get_ancestor_obj_by_type(topology_.get(), HWLOC_OBJ_CORE, pu);
    if (core == nullptr) {
      ++unknown;
    } else {
      known.insert(core);
    }
  }
  return static_cast<int>(known.size()) + unknown;
}

// Where several nodes are as near to a CPU (high-bandwidth memory beside DRAM), the first is the
// one that the system takes memory from unless told otherwise.
std::vector<NumaNode> Topology::nodes(const std::vector<int>& cpus) const {
  std::vector<NumaNode> nodes;
  std::vector<int> left = cpus;
  for (hwloc_obj_t object = nullptr;
       (object = hwloc_get_next_obj_by_type(topology_.get(), HWLOC_OBJ_NUMANODE, object));) {
    const auto far = std::stable_partition(left.begin(), left.end(),
                                           [&](int cpu) { return holds(object->cpuset, cpu); });
    NumaNode node{object->os_index, {left.begin(), far}, 0};
    left.erase(left.begin(), far);
    if (node.cpus.empty()) continue;
    node.cores = n_cores(node.cpus);
    nodes.push_back(std::move(node));
  }
  if (!left.empty() || nodes.empty()) return {{0, cpus, n_cores(cpus)}};
  return nodes;
}

bool Topology::bind_thread(const std::vector<int>& cpus) const {
  Bitmap set;
  for (const int cpu : cpus) set.add(static_cast<unsigned>(cpu));
  return hwloc_set_cpubind(topology_.get(), set.get(), HWLOC_CPUBIND_THREAD) == 0;
}

// Without HWLOC_MEMBIND_STRICT a binding is a preference: a full node does not end the process.
bool Topology::set_policy(std::span<std::byte> memory, const std::vector<NumaNode>& nodes,
                          int policy) const {
  if (memory.empty()) return true;
  Bitmap set;
  for (const NumaNode& node : nodes) set.add(node.number);
  return hwloc_set_area_membind(topology_.get(), memory.data(), memory.size(), set.get(),
                                static_cast<hwloc_membind_policy_t>(policy),
                                HWLOC_MEMBIND_BYNODESET) == 0;
}

bool Topology::bind_memory(std::span<std::byte> memory, const NumaNode& node) const {
  return set_policy(memory, {node}, HWLOC_MEMBIND_BIND);
}

bool Topology::interleave_memory(std::span<std::byte> memory,
                                 const std::vector<NumaNode>& nodes) const {
  return set_policy(memory, nodes, HWLOC_MEMBIND_INTERLEAVE);
}

const Topology& machine_topology() {
  static const Topology topology;
  return topology;
}

}  // namespace windlass

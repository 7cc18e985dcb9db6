// How much of the machine this process may use: the affinity mask, and the CPU quotas of its
// control groups (v2 and v1). Which CPUs share a core or a node: topology.h.
#pragma once

#include <string>
#include <vector>

#include "cpu_kernels/op_table.h"

namespace windlass {

// Hardware threads that the calling thread may run on, ascending; at least one.
std::vector<int> affinity_cpus();

// What the control groups of /proc/self/cgroup grant of the CPUs' time, of those that grant least.
struct CpuQuota {
  double cpus = 0;    // infinite without a quota
  std::string group;  // its folder; empty without one
};
// mounts: the folder of the hierarchies, /sys/fs/cgroup; groups: the text of /proc/self/cgroup.
CpuQuota cpu_quota(const std::string& mounts, const std::string& groups);

}  // namespace windlass

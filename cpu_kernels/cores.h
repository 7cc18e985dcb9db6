// How much of the machine this process may use: the affinity mask, which of its CPUs share a core,
// and the CPU quotas of its control groups (v2 and v1).
#pragma once

#include <string>
#include <vector>

#include "cpu_kernels/op_table.h"

namespace windlass {

// Physical cores that `cpus` are hardware threads of, by cpu_folder/cpuN/topology/
// thread_siblings_list. A CPU about which nothing is said is a core of its own.
int count_cores(const std::vector<int>& cpus, const std::string& cpu_folder);

}  // namespace windlass

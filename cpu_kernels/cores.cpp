#include "cpu_kernels/cores.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>

#include "cpu_kernels/topology.h"

namespace windlass {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// quota_us / period_us of the group at `folder`; infinite without a quota.
double quota_cpus(const std::string& folder, bool v2) {
  constexpr double kNone = INFINITY;
  std::istringstream words(v2 ? first_line(folder + "/cpu.max")
                              : first_line(folder + "/cpu.cfs_quota_us") + " " +
                                    first_line(folder + "/cpu.cfs_period_us"));
  std::string quota;
  double period_us = 0;
  if (!(words >> quota >> period_us) || period_us <= 0) return kNone;
  double quota_us = 0;
  const auto [end, error] = std::from_chars(quota.data(), quota.data() + quota.size(), quota_us);
  if (error != std::errc() || quota_us <= 0) return kNone;  // "max" in v2, -1 in v1
  return quota_us / period_us;
}

// The least quota from the group up to the root of its hierarchy, into `least` where it is less.
void look_at(const std::string& root, std::string group, bool v2, CpuQuota& least) {
  for (;;) {
    const std::string folder = group.size() > 1 ? root + group : root;
    const double cpus = quota_cpus(folder, v2);
    if (cpus < least.cpus) least = {cpus, folder};
    if (group.size() <= 1) return;
    group.resize(group.find_last_of('/'));
  }
}

bool has_cpu_controller(const std::string& controllers) {
  std::istringstream list(controllers);
  std::string name;
  while (std::getline(list, name, ',')) {
    if (name == "cpu") return true;
  }
  return false;
}

std::string whole_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

// The set of a machine with more CPUs than cpu_set_t has takes a larger one.
std::vector<int> affinity_cpus() {
  std::vector<int> cpus;
  for (int most = CPU_SETSIZE; most <= 1 << 20 && cpus.empty(); most *= 4) {
    cpu_set_t* set = CPU_ALLOC(most);
    const std::size_t size = CPU_ALLOC_SIZE(most);
    CPU_ZERO_S(size, set);
    const bool done = sched_getaffinity(0, size, set) == 0;
    for (int cpu = 0; done && cpu < most; ++cpu) {
      if (CPU_ISSET_S(cpu, size, set)) cpus.push_back(cpu);
    }
    CPU_FREE(set);
  }
  return cpus.empty() ? std::vector<int>{0} : cpus;
}

// Lines of `groups` are "id:controllers:/path"; v2 is the line "0::/path", mounted at the top or,
// beside v1, in `unified`.
CpuQuota cpu_quota(const std::string& mounts, const std::string& groups) {
  CpuQuota least{INFINITY, ""};
  std::istringstream lines(groups);
  std::string line;
  while (std::getline(lines, line)) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      look_at(mounts, path, true, least);
      look_at(mounts + "/unified", path, true, least);
    } else if (has_cpu_controller(controllers)) {
      look_at(mounts + "/" + controllers, path, false, least);
      look_at(mounts + "/cpu", path, false, least);
    }
  }
  return least;
}

std::string cpu_list(const std::vector<int>& cpus) {
  std::string list;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    if (!list.empty()) list += ',';
    list += std::to_string(cpus[i]);
    if (last > i) list += '-' + std::to_string(cpus[last]);
    i = last + 1;
  }
  return list;
}

CpuShare cpu_share() {
  CpuShare share;
  share.cpus = affinity_cpus();
  share.cores = machine_topology().n_cores(share.cpus);
  share.nodes = static_cast<int>(machine_topology().nodes(share.cpus).size());
  CpuQuota quota = cpu_quota("/sys/fs/cgroup", whole_file("/proc/self/cgroup"));
  share.quota = quota.cpus;
  share.quota_group = std::move(quota.group);
  return share;
}

int usable_cores() {
  const CpuShare share = cpu_share();
  if (share.quota >= share.cores) return share.cores;
  return std::max(1, static_cast<int>(std::ceil(share.quota)));
}

}  // namespace windlass

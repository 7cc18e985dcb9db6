#include "cpu_kernels/cores.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

namespace windlass {
namespace {

std::vector<int> affinity_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  return cpus.empty() ? std::vector<int>{0} : cpus;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// quota_us / period_us of the group at `folder`; infinite without a quota.
double quota_cores(const std::string& folder, bool v2) {
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

// The least quota from the group up to the root of its hierarchy.
double least_quota(const std::string& root, std::string group, bool v2) {
  double least = quota_cores(root, v2);
  while (group.size() > 1) {
    least = std::min(least, quota_cores(root + group, v2));
    group.resize(group.find_last_of('/'));
  }
  return least;
}

bool has_cpu_controller(const std::string& controllers) {
  std::istringstream list(controllers);
  std::string name;
  while (std::getline(list, name, ',')) {
    if (name == "cpu") return true;
  }
  return false;
}

// Lines of /proc/self/cgroup are "id:controllers:/path"; v2 is the line "0::/path".
double group_cores() {
  std::ifstream groups("/proc/self/cgroup");
  double least = INFINITY;
  std::string line;
  while (std::getline(groups, line)) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, least_quota("/sys/fs/cgroup", path, true));
    } else if (has_cpu_controller(controllers)) {
      least = std::min(least, least_quota("/sys/fs/cgroup/" + controllers, path, false));
      least = std::min(least, least_quota("/sys/fs/cgroup/cpu", path, false));
    }
  }
  return least;
}

}  // namespace

int count_cores(const std::vector<int>& cpus, const std::string& cpu_folder) {
  std::set<std::string> cores;
  for (const int cpu : cpus) {
    const std::string name = std::to_string(cpu);
    const std::string siblings =
        first_line(cpu_folder + "/cpu" + name + "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? "cpu" + name : siblings);
  }
  return static_cast<int>(cores.size());
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
  share.cores = count_cores(share.cpus, "/sys/devices/system/cpu");
  share.quota = group_cores();
  return share;
}

int usable_cores() {
  const CpuShare share = cpu_share();
  if (share.quota >= share.cores) return share.cores;
  return std::max(1, static_cast<int>(std::ceil(share.quota)));
}

}  // namespace windlass

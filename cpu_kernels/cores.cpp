// How many cores this process may use: the affinity mask, and the CPU quotas of its control groups
// (v2 and v1).
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>

#include "cpu_kernels/op_table.h"

namespace windlass {
namespace {

int affinity_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
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

int usable_cores() {
  const int cores = affinity_cores();
  const double quota = group_cores();
  if (quota >= cores) return cores;
  return std::max(1, static_cast<int>(std::ceil(quota)));
}

}  // namespace windlass

// How much memory this process may take: what the machine has free, and what its memory cgroups (v1
// or v2) allow.
#pragma once

#include <cstdint>
#include <optional>

namespace windlass {

struct MemoryLimits {
  std::int64_t available_bytes = 0;  // MemAvailable of /proc/meminfo
  std::optional<std::int64_t>
      cgroup_limit_bytes;              // the tightest of the process's cgroup and its parents
  std::int64_t cgroup_used_bytes = 0;  // charged to that cgroup now, page cache left out
};

MemoryLimits read_memory_limits();

}  // namespace windlass

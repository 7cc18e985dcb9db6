// How much memory this process may take: what the machine has free, and what its memory cgroups (v1
// or v2) allow.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace windlass {

struct MemoryLimits {
  std::int64_t available_bytes = 0;  // MemAvailable of /proc/meminfo
  std::int64_t total_bytes = 0;      // MemTotal of the same
  std::optional<std::int64_t>
      cgroup_limit_bytes;              // the tightest of the process's cgroup and its parents
  std::int64_t cgroup_used_bytes = 0;  // charged to that cgroup now, page cache left out
};

MemoryLimits read_memory_limits();

// Whether a process may hold this much. What it holds beside: 48 MiB for code and libraries (law
// 1).
struct MemoryVerdict {
  enum class Kind : std::uint8_t { kFits, kTight, kImpossible } kind = Kind::kFits;
  std::string reason;  // empty where it fits; else with the numbers and what to try
};
// reserved_bytes: all that is reserved of a budget. kImpossible: more than a limit. kTight: it may
// be killed, or another process for it.
MemoryVerdict judge_memory(std::int64_t reserved_bytes, const MemoryLimits& limits);

}  // namespace windlass

#include "pipeline/memory_limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "pipeline/engine.h"
#include "src/base/units.h"

namespace windlass {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kCodeAndLibraries = 48 * kMiB;  // law 1

std::optional<std::int64_t> read_number(const fs::path& path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;  // absent, or "max"
}

// A value of a "key value" file such as memory.stat or /proc/meminfo (kB lines: the caller scales).
std::optional<std::int64_t> read_keyed(const fs::path& path, const std::string& key) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    std::int64_t value = 0;
    if (word == key && file >> value) return value;
    file.ignore(256, '\n');
  }
  return std::nullopt;
}

struct CgroupFiles {
  const char* root;
  const char* limit;
  const char* used;
  const char* cache_key;  // of memory.stat: reclaimable file pages
};
constexpr CgroupFiles kV1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                             "memory.usage_in_bytes", "total_cache"};
constexpr CgroupFiles kV2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "file"};

// Walks from the process's cgroup up to the root, keeping the tightest limit.
void apply(const CgroupFiles& files, const std::string& group, MemoryLimits& limits) {
  fs::path folder = fs::path(files.root) / fs::path(group).relative_path();
  const fs::path root(files.root);
  while (true) {
    const auto limit = read_number(folder / files.limit);
    if (limit && *limit < (std::int64_t{1} << 60) &&
        (!limits.cgroup_limit_bytes || *limit < *limits.cgroup_limit_bytes)) {
      limits.cgroup_limit_bytes = limit;
      const std::int64_t cache = read_keyed(folder / "memory.stat", files.cache_key).value_or(0);
      limits.cgroup_used_bytes =
          std::max<std::int64_t>(read_number(folder / files.used).value_or(0) - cache, 0);
    }
    if (folder == root || !folder.has_relative_path() ||
        folder.string().size() <= root.string().size())
      return;
    folder = folder.parent_path();
  }
}

}  // namespace

MemoryLimits read_memory_limits() {
  MemoryLimits limits;
  limits.available_bytes = read_keyed("/proc/meminfo", "MemAvailable:").value_or(0) * kKiB;
  limits.total_bytes = read_keyed("/proc/meminfo", "MemTotal:").value_or(0) * kKiB;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "4:memory:/user" (v1) or "0::/user" (v2)
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers == "memory") apply(kV1, group, limits);
    if (controllers.empty()) apply(kV2, group, limits);
  }
  return limits;
}

MemoryVerdict judge_memory(std::int64_t reserved_bytes, const MemoryLimits& limits) {
  using enum MemoryVerdict::Kind;
  const std::string reserved = format_size(reserved_bytes);
  if (limits.cgroup_limit_bytes) {
    const std::int64_t limit = *limits.cgroup_limit_bytes;
    const std::int64_t room_mib = std::max<std::int64_t>(limit - kCodeAndLibraries, 0) / kMiB;
    if (reserved_bytes + kCodeAndLibraries > limit) {
      return {reserved_bytes > limit ? kImpossible : kTight,
              fmt::format("the run takes {} beside 48 MiB for code and libraries, but its memory "
                          "cgroup is limited to {}: use --ram {}MiB or auto, or raise the limit",
                          reserved, format_size(limit), room_mib)};
    }
  }
  if (limits.total_bytes > 0 && reserved_bytes > limits.total_bytes) {
    return {kImpossible, fmt::format("the run takes {}, but this machine has {} of memory: use a "
                                     "smaller --ram or auto",
                                     reserved, format_size(limits.total_bytes))};
  }
  if (limits.available_bytes > 0 && reserved_bytes > limits.available_bytes) {
    return {kTight, fmt::format("the run takes {}, but only {} of memory are free: use a smaller "
                                "--ram or auto, or close other programs",
                                reserved, format_size(limits.available_bytes))};
  }
  return {};
}

std::int64_t auto_ram_bytes() {
  const MemoryLimits limits = read_memory_limits();
  std::int64_t room = limits.available_bytes;
  if (limits.cgroup_limit_bytes)
    room = std::min(room, *limits.cgroup_limit_bytes - limits.cgroup_used_bytes);
  return std::max<std::int64_t>(room - room / 16 - kCodeAndLibraries, 0);
}

}  // namespace windlass

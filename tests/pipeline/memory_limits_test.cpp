// What this very machine says about its memory.
#include "pipeline/memory_limits.h"

#include <unistd.h>

#include "pipeline/engine.h"
#include "src/base/units.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

std::int64_t physical_bytes() {
  return static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
}

TEST_CASE("the memory found is more than nothing and no more than the machine has") {
  const MemoryLimits limits = read_memory_limits();
  CHECK(limits.available_bytes > kMiB);
  CHECK(limits.available_bytes <= physical_bytes());
  CHECK(limits.cgroup_used_bytes >= 0);
  if (limits.cgroup_limit_bytes) CHECK(*limits.cgroup_limit_bytes > 0);
}

TEST_CASE("the automatic budget leaves room for others and for the program itself") {
  const std::int64_t ram = auto_ram_bytes();
  CHECK(ram > 0);
  const MemoryLimits limits = read_memory_limits();
  CHECK(ram < physical_bytes());
  if (limits.cgroup_limit_bytes) CHECK(ram < *limits.cgroup_limit_bytes);
}

}  // namespace
}  // namespace windlass

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
  CHECK(limits.available_bytes <= limits.total_bytes);
  CHECK(limits.total_bytes <= physical_bytes());
  CHECK(limits.cgroup_used_bytes >= 0);
  if (limits.cgroup_limit_bytes) CHECK(*limits.cgroup_limit_bytes > 0);
}

TEST_CASE("a run that a limit would kill is impossible, one that comes near it is tight") {
  using enum MemoryVerdict::Kind;
  MemoryLimits limits;
  limits.total_bytes = 8 * kGiB;
  limits.available_bytes = 6 * kGiB;
  CHECK(judge_memory(6 * kGiB, limits).kind == kFits);
  CHECK(judge_memory(6 * kGiB, limits).reason.empty());
  CHECK(judge_memory(6 * kGiB + 1, limits).kind == kTight);
  CHECK(judge_memory(8 * kGiB + 1, limits).kind == kImpossible);
  limits.cgroup_limit_bytes = 112 * kMiB;
  CHECK(judge_memory(64 * kMiB, limits).kind == kFits);
  const MemoryVerdict tight = judge_memory(64 * kMiB + 1, limits);
  CHECK(tight.kind == kTight);
  CHECK_THAT(tight.reason, Contains("112.0 MiB") && Contains("--ram 64MiB"));
  CHECK(judge_memory(112 * kMiB, limits).kind == kTight);
  CHECK(judge_memory(112 * kMiB + 1, limits).kind == kImpossible);
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

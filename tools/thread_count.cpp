#include "tools/thread_count.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>

#include "pipeline/engine.h"
#include "src/base/error.h"

namespace windlass {
namespace {

std::string counted(std::int64_t n, const char* noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

}  // namespace

void check_threads(int threads) {
  if (threads < 0) fail(ErrorCode::kUsage, "-t {}: must not be negative", threads);
  const CpuShare share = cpu_share();
  if (threads <= std::ssize(share.cpus)) return;
  fail(ErrorCode::kUsage,
       "-t {}: this process may run on {} (CPU {}; {}); use -t {} at most, or -t 0 for {}", threads,
       counted(std::ssize(share.cpus), "hardware thread"), cpu_list(share.cpus),
       counted(share.cores, "core"), share.cpus.size(), usable_cores());
}

void warn_about_quota(int threads) {
  if (threads <= 1) return;
  const CpuShare share = cpu_share();
  if (threads <= std::ceil(share.quota)) return;
  fmt::print(stderr,
             "windlass: warning: -t {} is above the quota of {:.3g} CPUs of the cgroup {}: threads "
             "will be stopped in turn, and wait for each other; -t 0 takes {}\n",
             threads, share.quota, share.quota_group, usable_cores());
}

}  // namespace windlass

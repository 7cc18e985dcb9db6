// What -t may be on this machine.
#pragma once

namespace windlass {

// 0: as many as usable_cores(). Error(kUsage) for a negative number, and for more than the CPUs
// that this process may run on, which it lists.
void check_threads(int threads);
// A line on standard error where the cgroup's quota gives less time than `threads` would use.
void warn_about_quota(int threads);

}  // namespace windlass

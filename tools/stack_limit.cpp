#include "tools/stack_limit.h"

#include <sys/resource.h>

#include <algorithm>

#include "src/base/error.h"
#include "src/base/units.h"

namespace windlass {

// The kernel looks at the limit whenever the main thread's stack grows, so raising it acts at once.
void require_stack() {
  constexpr rlim_t kNeeded = 512 * kKiB;
  rlimit limit{};
  getrlimit(RLIMIT_STACK, &limit);
  if (limit.rlim_cur >= kNeeded) return;
  const rlimit raised{kNeeded, std::max(limit.rlim_max, kNeeded)};
  if (setrlimit(RLIMIT_STACK, &raised) == 0) return;
  fail(ErrorCode::kNoSpace, "the stack limit of {} is too small: raise it with ulimit -s 512",
       format_size(static_cast<std::int64_t>(limit.rlim_cur)));
}

}  // namespace windlass

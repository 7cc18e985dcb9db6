#include "src/device/memlock.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include "src/base/units.h"

namespace windlass {

MemlockLimit read_memlock_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur == RLIM_INFINITY) return {};
  return {true, static_cast<std::int64_t>(limit.rlim_cur)};
}

std::string pinning_refused(const std::string& device, std::int64_t size_bytes,
                            const std::string& why, const MemlockLimit& limit) {
  const std::string refused = fmt::format("the system refuses to pin {} of memory for {} ({})",
                                          format_size(size_bytes), device, why);
  if (!limit.limited || limit.size_bytes >= size_bytes) {
    return refused + "; ask for less (--ram), or close other programs";
  }
  // Both take KiB.
  const std::int64_t wanted_kib = align_up(size_bytes, kKiB) / kKiB;
  return fmt::format(
      "{}: this process may lock {}; raise that with `ulimit -l {}`, for good with the line "
      "`* - memlock {}` in /etc/security/limits.conf, or ask for less (--ram)",
      refused, format_size(limit.size_bytes), wanted_kib, wanted_kib);
}

}  // namespace windlass

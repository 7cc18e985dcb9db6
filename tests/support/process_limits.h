// Limits of the process for tests in a forked child: what an administrator's ulimit does.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace windlass {

// No more threads from here on. Root has no such limit, so that root becomes nobody. False where
// the system does not let that happen.
inline bool forbid_threads() {
  if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return false;
  const rlimit none{0, 0};
  return setrlimit(RLIMIT_NPROC, &none) == 0;
}

// Address space for so many bytes more than there are now.
inline bool leave_address_space(std::int64_t size_bytes) {
  std::int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const auto limit = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE) + size_bytes);
  const rlimit both{limit, limit};
  return setrlimit(RLIMIT_AS, &both) == 0;
}

// The address sanitizer's shadow takes terabytes of address space, the thread sanitizer's too.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kAddressSpaceCanBeLimited = false;
#else
inline constexpr bool kAddressSpaceCanBeLimited = true;
#endif

}  // namespace windlass

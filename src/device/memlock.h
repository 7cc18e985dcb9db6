// How much memory the process may lock, and the words for when that is too little.
#pragma once

#include <cstdint>
#include <string>

namespace windlass {

struct MemlockLimit {
  bool limited = false;
  std::int64_t size_bytes = 0;  // RLIMIT_MEMLOCK; 0 where not limited
};

MemlockLimit read_memlock_limit();

// One line: the system refused, because of `why`, to pin size_bytes for a device; what the limit is
// and which lines raise it, where it is the smaller one; else that memory is short.
std::string pinning_refused(const std::string& device, std::int64_t size_bytes,
                            const std::string& why, const MemlockLimit& limit);

}  // namespace windlass

// Monotonic time in seconds as a double: 2^53 ns is 104 days at 1 ns.
#pragma once

#include <chrono>

namespace windlass {

inline double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace windlass

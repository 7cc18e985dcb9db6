// How much memory a stretch of code asks for: this executable's operator new counts while a watch
// is on.
#pragma once

#include <cstddef>

namespace windlass::testing {

struct MemoryRequests {
  std::size_t largest_bytes = 0;
  std::size_t sum_bytes = 0;
};

// Counts the calling thread's requests from its construction on. One at a time.
class MemoryWatch {
 public:
  MemoryWatch();
  ~MemoryWatch();
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;
  // Ends the watch.
  MemoryRequests stop();
};

}  // namespace windlass::testing

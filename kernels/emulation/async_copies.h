// Copies that one thread has under way into shared memory: nothing of them is there before it
// waits.
#pragma once

#include <cstddef>
#include <vector>

namespace windlass::emulation {

class AsyncCopies {
 public:
  static constexpr std::size_t kBytes = 16;  // of a copy

  // Spoils the target until wait(). `from` null: zeros.
  void start(std::byte* to, const std::byte* from);
  void commit() { ++groups_; }
  // Until all committed groups but the last `groups` are there.
  void wait(int groups);
  bool empty() const { return copies_.empty(); }

 private:
  struct Copy {
    std::byte* to;
    const std::byte* from;
    int group;
  };
  std::vector<Copy> copies_;  // in the order of groups
  int groups_ = 0;            // committed so far
};

}  // namespace windlass::emulation

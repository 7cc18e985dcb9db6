#include "kernels/emulation/async_copies.h"

#include <algorithm>
#include <cstring>

namespace windlass::emulation {

void AsyncCopies::start(std::byte* to, const std::byte* from) {
  std::memset(to, 0xff, kBytes);  // NaNs
  copies_.push_back({to, from, groups_});
}

void AsyncCopies::wait(int groups) {
  const auto there = std::find_if(copies_.begin(), copies_.end(),
                                  [&](const Copy& copy) { return copy.group >= groups_ - groups; });
  for (auto copy = copies_.begin(); copy != there; ++copy) {
    if (copy->from != nullptr) {
      std::memcpy(copy->to, copy->from, kBytes);
    } else {
      std::memset(copy->to, 0, kBytes);
    }
  }
  copies_.erase(copies_.begin(), there);
}

}  // namespace windlass::emulation

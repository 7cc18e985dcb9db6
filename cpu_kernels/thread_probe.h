// How many threads the system grants, found out before they are needed: oneTBB ends the process
// when it cannot start one (by design: uxlfoundation/oneTBB issue 255).
#pragma once

#include <cstdint>

namespace windlass {

// The stack that the team's helpers get. An op needs up to 200 KiB of it (attention_tile_inl.h),
// and oneTBB's own 4 MiB each would be refused early under a limit on address space.
inline constexpr std::int64_t kHelperStackBytes = std::int64_t{1} << 20;

// Threads that can be started beside those that run now, at most `wanted`: starts them, all alive
// at once, each with a helper's stack and the address space of a heap of its own, and ends them
// again. What another process takes between this call and their real start cannot be known. Costs
// about 30 us a thread.
int startable_threads(int wanted);

}  // namespace windlass

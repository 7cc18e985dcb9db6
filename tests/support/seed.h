// The seed of randomised tests: printed, so that a failure can be repeated with
// WINDLASS_TEST_SEED=<seed>.
#pragma once

#include <cstdint>

namespace windlass {

// The same number all through the process; fresh for each process unless WINDLASS_TEST_SEED sets
// it.
std::uint64_t test_seed();

}  // namespace windlass

#include "tests/support/seed.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace windlass {

std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const char* text = std::getenv("WINDLASS_TEST_SEED");
    const std::uint64_t value =
        text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device{}();
    std::fprintf(stderr, "WINDLASS_TEST_SEED=%" PRIu64 "\n", value);
    return value;
  }();
  return seed;
}

}  // namespace windlass

#include "tiers/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <random>
#include <vector>

#include "src/base/error.h"
#include "src/base/units.h"
#include "tests/support/catch.h"
#include "tests/support/child_process.h"
#include "tests/support/seed.h"

using namespace windlass;

namespace {

std::int64_t resident_pages(const std::byte* begin, std::int64_t size_bytes) {
  std::vector<unsigned char> pages(static_cast<std::size_t>(size_bytes / 4096));
  const int status =
      mincore(const_cast<std::byte*>(begin), static_cast<std::size_t>(size_bytes), pages.data());
  REQUIRE(status == 0);
  return std::count_if(pages.begin(), pages.end(), [](unsigned char page) { return page & 1; });
}

}  // namespace

TEST_CASE("the sum of carved ranges is the arena's delta and the budget's usage") {
  std::mt19937_64 random(test_seed());
  Budget budget(Tier::kHost, 64 * kMiB);
  {
    Arena arena(64 * kMiB);
    std::int64_t sum = 0;
    for (int i = 0; i < 200; ++i) {
      const auto size = static_cast<std::int64_t>(random() % 300'000);
      const ArenaRange range = arena.carve(budget, static_cast<Tag>(random() % kTagCount), size);
      REQUIRE(range.offset_bytes == sum);
      REQUIRE(range.size_bytes >= size);
      REQUIRE(range.size_bytes < size + 4096);
      REQUIRE(reinterpret_cast<std::uintptr_t>(arena.at(range)) % 4096 == 0);
      sum += range.size_bytes;
      REQUIRE(arena.carved_bytes() == sum);
      REQUIRE(budget.used_bytes() == sum);
    }
  }
  CHECK(budget.used_bytes() == 0);
}

TEST_CASE("carving beyond the budget fails and carves nothing") {
  Budget budget(Tier::kHost, kMiB);
  Arena arena(2 * kMiB);
  arena.carve(budget, Tag::kWeights, kMiB - 4096);
  CHECK_THROWS_WITH(arena.carve(budget, Tag::kKv, 8192),
                    Contains("8.0 KiB") && Contains("1.0 MiB"));
  CHECK(arena.carved_bytes() == kMiB - 4096);
  CHECK(budget.used_bytes() == kMiB - 4096);
}

TEST_CASE("carving beyond the arena is a bug") {
  CHECK(fails_a_check([] {
    Budget budget(Tier::kHost, kGiB);
    Arena arena(kMiB);
    arena.carve(budget, Tag::kWeights, kMiB + 1);
  }));
}

TEST_CASE("an arena that the system cannot map is an error with its size") {
  CHECK_THROWS_WITH(Arena(std::int64_t{1} << 56), Contains("GiB") && Contains("--ram"));
}

TEST_CASE("carved memory is zero, and populating makes it resident and keeps it") {
  Budget budget(Tier::kHost, 8 * kMiB);
  Arena arena(8 * kMiB);
  const ArenaRange range = arena.carve(budget, Tag::kRing, 5 * kMiB);
  CHECK(resident_pages(arena.at(range), range.size_bytes) == 0);
  *arena.at(range) = std::byte{7};
  arena.populate(range);
  CHECK(resident_pages(arena.at(range), range.size_bytes) == range.size_bytes / 4096);
  CHECK(*arena.at(range) == std::byte{7});
  CHECK(std::all_of(arena.at(range) + 1, arena.at(range) + range.size_bytes,
                    [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST_CASE("huge pages never make memory resident that is not carved") {
  Budget budget(Tier::kHost, kGiB);
  Arena arena(80 * kMiB);
  const ArenaRange range = arena.carve(budget, Tag::kWeights, 7 * kMiB);
  arena.populate(range);
  CHECK(resident_pages(arena.at(0), 80 * kMiB) == 7 * kMiB / 4096);
}

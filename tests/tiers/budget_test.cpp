#include "tiers/budget.h"

#include <random>
#include <vector>

#include "src/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/seed.h"

using namespace windlass;

TEST_CASE("usage by tag sums to the budget's usage, whatever is reserved and given back") {
  std::mt19937_64 random(test_seed());
  Budget budget(Tier::kHost, 1'000'000);
  std::vector<Reservation> held;
  std::int64_t used = 0, peak = 0;
  for (int i = 0; i < 2000; ++i) {
    if (!held.empty() && random() % 3 == 0) {
      const std::size_t victim = random() % held.size();
      used -= held[victim].size_bytes();
      held[victim] = std::move(held.back());
      held.pop_back();
    } else {
      const auto size = static_cast<std::int64_t>(random() % 500);
      held.push_back(budget.reserve(static_cast<Tag>(random() % kTagCount), size));
      used += size;
    }
    peak = std::max(peak, used);
    std::int64_t by_tag = 0;
    for (int tag = 0; tag < kTagCount; ++tag) by_tag += budget.used_bytes(static_cast<Tag>(tag));
    REQUIRE(by_tag == used);
    REQUIRE(budget.used_bytes() == used);
  }
  CHECK(budget.peak_bytes() == peak);
  held.clear();
  CHECK(budget.used_bytes() == 0);
}

TEST_CASE("a moved reservation is given back once") {
  Budget budget(Tier::kHost, 100);
  Reservation outer;
  {
    Reservation first = budget.reserve(Tag::kKv, 60);
    outer = std::move(first);
    CHECK(budget.used_bytes(Tag::kKv) == 60);
  }
  CHECK(budget.used_bytes() == 60);
  CHECK(outer.size_bytes() == 60);
  Reservation constructed(std::move(outer));
  CHECK(budget.used_bytes() == 60);
  constructed = budget.reserve(Tag::kRing, 30);  // the old 60 go back
  CHECK(budget.used_bytes(Tag::kKv) == 0);
  CHECK(budget.used_bytes() == 30);
}

TEST_CASE("a reservation that does not fit names tier, tag and numbers and changes nothing") {
  Budget budget(Tier::kHost, 64 << 20);
  const Reservation weights = budget.reserve(Tag::kWeights, 48 << 20);
  std::string message;
  try {
    budget.reserve(Tag::kKv, 20 << 20);
  } catch (const Error& error) {
    message = error.what();
    CHECK(error.code() == ErrorCode::kNoSpace);
  }
  CHECK_THAT(message, Contains("host"));
  CHECK_THAT(message, Contains("20.0 MiB"));
  CHECK_THAT(message, Contains("kv"));
  CHECK_THAT(message, Contains("48.0 MiB"));
  CHECK_THAT(message, Contains("64.0 MiB"));
  CHECK_THAT(message, Contains("raise the budget by 4.0 MiB"));
  CHECK(budget.used_bytes() == 48 << 20);
  CHECK(budget.reserve(Tag::kKv, 16 << 20).size_bytes() == 16 << 20);
}

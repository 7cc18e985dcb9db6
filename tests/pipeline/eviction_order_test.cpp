// Whose turn it is to leave the expert cache, against a slow account of every use.
#include "pipeline/eviction_order.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/seed.h"

namespace windlass {
namespace {

void use(EvictionOrder& order, std::int32_t key, std::int64_t tokens) {
  if (order.may_go(key)) order.keep(key);
  order.use(key, tokens);
  order.let_go(key);
}

TEST_CASE("what fewest tokens were routed to goes first") {
  EvictionOrder order(3, 100);
  use(order, 0, 5);
  use(order, 1, 2);
  use(order, 2, 3);
  CHECK(order.first() == 1);
  order.keep(1);
  CHECK(order.first() == 2);
  CHECK_FALSE(order.may_go(1));
}

TEST_CASE("a use counts half as much a half-life later") {
  EvictionOrder order(2, 10);
  use(order, 0, 4);
  order.pass(10);
  use(order, 1, 3);
  CHECK(order.first() == 0);  // 2 against 3
  order.keep(0);
  order.use(0, 2);
  order.let_go(0);
  CHECK(order.first() == 1);  // 4 against 3
}

TEST_CASE("uses are remembered of what left the cache") {
  EvictionOrder order(2, 100);
  use(order, 0, 3);
  order.keep(0);  // evicted
  use(order, 1, 4);
  order.use(0, 2);  // and read again
  order.let_go(0);
  CHECK(order.first() == 1);  // 4 against 5
}

// Each use with its time, summed up anew for every question.
class Account {
 public:
  explicit Account(double half_life) : half_life_(half_life) {}
  void pass(std::int64_t tokens) { now_ += static_cast<double>(tokens); }
  void use(std::int32_t key, std::int64_t tokens) {
    uses_.push_back({key, now_, static_cast<double>(tokens)});
  }
  double count(std::int32_t key) const {
    double sum = 0;
    for (const Use& use : uses_) {
      if (use.key == key) sum += use.tokens * std::exp2((use.at - now_) / half_life_);
    }
    return sum;
  }

 private:
  struct Use {
    std::int32_t key;
    double at, tokens;
  };
  double half_life_, now_ = 0;
  std::vector<Use> uses_;
};

TEST_CASE("the order is that of the decayed counts, over ages that overflow plain weights") {
  constexpr std::int32_t kKeys = 12;
  std::mt19937_64 random(test_seed());
  const auto pick = [&](std::int64_t most) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most));
  };
  EvictionOrder order(kKeys, 8);
  Account account(8);
  for (int round = 0; round < 3000; ++round) {
    const std::int64_t tokens = pick(3);
    order.pass(tokens);
    account.pass(tokens);
    const auto key = static_cast<std::int32_t>(pick(kKeys));
    if (order.may_go(key)) order.keep(key);
    if (pick(3) > 0) {
      const std::int64_t routed = 1 + pick(4);
      order.use(key, routed);
      account.use(key, routed);
      order.let_go(key);
    }
    if (order.empty()) continue;
    double least = 1e300;
    for (std::int32_t other = 0; other < kKeys; ++other) {
      if (order.may_go(other)) least = std::min(least, account.count(other));
    }
    REQUIRE(account.count(order.first()) == Approx(least).epsilon(1e-9));
  }
}

}  // namespace
}  // namespace windlass

#include "tiers/kv_pages.h"

#include "src/base/error.h"
#include "src/base/units.h"
#include "tests/support/catch.h"
#include "tests/support/child_process.h"

using namespace windlass;

namespace {

struct Store {
  explicit Store(const KvShape& shape, std::int64_t context)
      : budget(Tier::kHost, kGiB),
        arena(shape.size_bytes(context)),
        pages(shape, context, arena, budget) {}
  Budget budget;
  Arena arena;
  KvPages pages;
};

constexpr KvShape kSmolLm2{30, 3, 64, 64, {}};

}  // namespace

TEST_CASE("the bytes of a KV store are its formula, its arena's delta and its budget's usage") {
  const auto bytes = [](KvType type, std::int64_t n) {
    return type == KvType::kQ8_0 ? n + n / 16 : type == KvType::kF32 ? 4 * n : 2 * n;
  };
  for (const KvType keys : kKvTypes) {
    for (const KvType values : kKvTypes) {
      for (const auto& [key_dim, value_dim] : {std::pair<std::int64_t, std::int64_t>{1, 1},
                                               {64, 64},
                                               {80, 80},
                                               {128, 128},
                                               {96, 32}}) {
        if (!kv_type_fits(keys, key_dim) || !kv_type_fits(values, value_dim)) continue;
        for (const std::int64_t context : {1, 63, 64, 65, 512, 1000}) {
          const KvShape shape{5, 3, key_dim, value_dim, {keys, values}};
          const Store store(shape, context);
          const std::int64_t pages = 5 * ((context + 63) / 64);
          REQUIRE(shape.page_bytes() == 3 * 64 * (bytes(keys, key_dim) + bytes(values, value_dim)));
          REQUIRE(shape.size_bytes(context) == align_up(pages * shape.page_bytes(), 4096));
          REQUIRE(store.arena.carved_bytes() == shape.size_bytes(context));
          REQUIRE(store.budget.used_bytes(Tag::kKv) == shape.size_bytes(context));
        }
      }
    }
  }
}

TEST_CASE("values that are the beginnings of their keys take no bytes") {
  const KvShape latent{27, 1, 576, 512, {}, true};
  CHECK(latent.page_bytes() == 64 * 576 * 2);
  const Store store(latent, 100);
  CHECK(store.arena.carved_bytes() == 27 * 2 * 64 * 576 * 2);
}

TEST_CASE("pages of all layers lie side by side in the arena") {
  const Store store(kSmolLm2, 130);  // 3 pages, the last one with 2 tokens
  const std::byte* expected = store.arena.at(0);
  for (std::int64_t layer = 0; layer < kSmolLm2.n_layers; ++layer) {
    for (std::int64_t page = 0; page < 3; ++page) {
      REQUIRE(store.pages.pages(layer)[page] == expected);
      expected += kSmolLm2.page_bytes();
    }
  }
  CHECK(expected <= store.arena.at(0) + store.arena.carved_bytes());
}

TEST_CASE("tokens are reserved, committed and rolled back") {
  Store store(kSmolLm2, 100);
  store.pages.reserve(70);
  CHECK(store.pages.committed_tokens() == 0);
  store.pages.commit(40);
  store.pages.commit(30);
  CHECK(store.pages.committed_tokens() == 70);
  store.pages.roll_back(65);
  CHECK(store.pages.committed_tokens() == 65);
  store.pages.reserve(35);  // to the last token of the context, inside a page
  store.pages.commit(35);
  CHECK(store.pages.committed_tokens() == 100);
  store.pages.roll_back(0);
  CHECK(store.pages.committed_tokens() == 0);
}

TEST_CASE("a context that is full refuses with its numbers") {
  Store store(kSmolLm2, 100);
  store.pages.reserve(98);
  store.pages.commit(98);
  CHECK_THROWS_WITH(store.pages.reserve(3),
                    Contains("3 more") && Contains("98 of 100") && Contains("-c 101"));
  store.pages.reserve(2);
  store.pages.commit(2);
  store.pages.reserve(0);
  CHECK_THROWS_AS(store.pages.reserve(1), Error);
}

TEST_CASE("committing more than is reserved is a bug, also after a roll back") {
  Store store(kSmolLm2, 100);
  CHECK(fails_a_check([&] { store.pages.commit(1); }));
  store.pages.reserve(10);
  store.pages.commit(4);
  CHECK(fails_a_check([&] { store.pages.commit(7); }));
  CHECK(fails_a_check([&] { store.pages.roll_back(5); }));
  store.pages.roll_back(2);
  CHECK(fails_a_check([&] { store.pages.commit(1); }));
  CHECK(fails_a_check([&] { store.pages.pages(30); }));
}

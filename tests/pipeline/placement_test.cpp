// Which blocks are pinned: within the limit, to the last block, evenly through the step.
#include "pipeline/placement.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "tests/pipeline/fake_model.h"
#include "tests/support/catch.h"
#include "tests/support/seed.h"

namespace windlass {
namespace {

using namespace windlass::test;

constexpr HostNeeds kNeeds{0, 5000, 70000, 100000, 30001};
constexpr std::int64_t kSlotCounts[] = {0, 2, 3, 4, 8, 32};

std::vector<bool> pinned_blocks(const BlockTable& blocks, const Placement& placement) {
  std::vector<bool> pinned(blocks.blocks().size(), false);
  for (const PlacedRun& placed : placement.pinned) {
    for (std::int32_t i = 0; i < placed.run.blocks.count; ++i) {
      const auto id = static_cast<std::size_t>(index_of(placed.run.blocks.first) + i);
      REQUIRE_FALSE(pinned[id]);
      pinned[id] = true;
    }
  }
  return pinned;
}

// Arena bytes that pinning this block alone takes.
std::int64_t cost_of(const BlockTable& blocks, BlockId id) {
  return make_run(blocks, {id, 1}).aligned.size_bytes;
}

std::int64_t least_of(const FakeModel& model, const BlockTable& blocks) {
  return least_limit_bytes(model.graph, blocks, kNeeds);
}

bool fits(const FakeModel& model, const BlockTable& blocks, std::int64_t limit) {
  HostNeeds needs = kNeeds;
  needs.limit_bytes = limit;
  return std::any_of(std::begin(kSlotCounts), std::end(kSlotCounts), [&](std::int64_t slots) {
    return std::holds_alternative<Placement>(place(model.graph, blocks, needs, slots));
  });
}

// Calls check(model, blocks, needs, placement) for random models, limits from least to all in
// memory, and every ring that fits.
template <typename Check>
void sweep(Check check) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 12; ++round) {
    const FakeModel model = random_model(random);
    const BlockTable blocks = model.blocks();
    const std::int64_t least = least_of(model, blocks);
    const std::int64_t all = all_in_memory_bytes(model, blocks, kNeeds);
    for (int i = 0; i <= 24; ++i) {
      HostNeeds needs = kNeeds;
      needs.limit_bytes = least + (all + kMiB - least) * i / 24;
      for (const std::int64_t slots : kSlotCounts) {
        const auto placed = place(model.graph, blocks, needs, slots);
        if (std::holds_alternative<Infeasible>(placed)) continue;
        INFO("round " << round << ", limit " << needs.limit_bytes << ", slots " << slots);
        check(model, blocks, needs, std::get<Placement>(placed));
      }
    }
  }
}

TEST_CASE("a placement never takes more than its limit") {
  int n_placed = 0;
  sweep([&](const FakeModel&, const BlockTable& blocks, const HostNeeds& needs,
            const Placement& placement) {
    ++n_placed;
    REQUIRE(placement.total_bytes() <= needs.limit_bytes);
    REQUIRE(placement.kv_bytes >= needs.kv_bytes);
    REQUIRE(placement.activation_bytes >= needs.activation_bytes);
    REQUIRE(placement.staging_bytes >= needs.staging_bytes);
    REQUIRE(placement.table_bytes == needs.table_bytes);
    std::int64_t end = 0;
    for (const PlacedRun& placed : placement.pinned) {
      REQUIRE(placed.arena_offset_bytes >= end);
      REQUIRE(placed.arena_offset_bytes % kDirectAlignment == 0);
      end = placed.arena_offset_bytes + placed.run.aligned.size_bytes;
    }
    REQUIRE(end <= placement.pinned_bytes);
    pinned_blocks(blocks, placement);  // none twice
  });
  REQUIRE(n_placed > 500);
}

TEST_CASE("a placement keeps to its limit page by page") {
  const FakeModel model = uniform_model(10, 63);
  const BlockTable blocks = model.blocks();
  HostNeeds needs = kNeeds;
  const std::int64_t least = least_of(model, blocks);
  const std::int64_t all = all_in_memory_bytes(model, blocks, kNeeds);
  for (needs.limit_bytes = least; needs.limit_bytes < all; needs.limit_bytes += 4096) {
    const auto placement = std::get<Placement>(place(model.graph, blocks, needs, kMinRingSlots));
    INFO("limit " << needs.limit_bytes);
    REQUIRE(placement.total_bytes() <= needs.limit_bytes);
  }
}

TEST_CASE("every streamed block fits a ring slot, and without a ring nothing is streamed") {
  sweep([&](const FakeModel& model, const BlockTable& blocks, const HostNeeds&,
            const Placement& placement) {
    const std::vector<bool> pinned = pinned_blocks(blocks, placement);
    for (const BlockId id : touched_blocks(model.graph, blocks)) {
      if (pinned[static_cast<std::size_t>(index_of(id))]) continue;
      REQUIRE(placement.ring_slots >= kMinRingSlots);
      REQUIRE(cost_of(blocks, id) <= placement.slot_bytes);
    }
  });
}

TEST_CASE("what a placement leaves free is too little for any block that it streams") {
  sweep([&](const FakeModel& model, const BlockTable& blocks, const HostNeeds& needs,
            const Placement& placement) {
    const std::vector<bool> pinned = pinned_blocks(blocks, placement);
    std::int64_t smallest = std::numeric_limits<std::int64_t>::max();
    std::int64_t shared_rounding = -placement.pinned_bytes;  // what neighbours save in one run
    for (const BlockId id : touched_blocks(model.graph, blocks)) {
      if (pinned[static_cast<std::size_t>(index_of(id))]) {
        shared_rounding += cost_of(blocks, id);
      } else {
        smallest = std::min(smallest, cost_of(blocks, id));
      }
    }
    REQUIRE(needs.limit_bytes - placement.total_bytes() - shared_rounding < smallest);
  });
}

TEST_CASE("small tensors are always pinned") {
  sweep([&](const FakeModel& model, const BlockTable& blocks, const HostNeeds&,
            const Placement& placement) {
    const std::vector<bool> pinned = pinned_blocks(blocks, placement);
    for (const BlockId id : touched_blocks(model.graph, blocks)) {
      if (blocks.at(id).extent.size_bytes >= 64 * kKiB) continue;
      REQUIRE(pinned[static_cast<std::size_t>(index_of(id))]);
    }
  });
}

TEST_CASE("the least limit works and one byte less does not") {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 50; ++round) {
    const FakeModel model = random_model(random);
    const BlockTable blocks = model.blocks();
    const std::int64_t least = least_of(model, blocks);
    INFO("round " << round << ", least " << least);
    CHECK(fits(model, blocks, least));
    CHECK_FALSE(fits(model, blocks, least - 1));
  }
}

TEST_CASE("more memory pins more, but for less than a block of rounding") {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 12; ++round) {
    const FakeModel model = random_model(random);
    const BlockTable blocks = model.blocks();
    HostNeeds needs = kNeeds;
    const std::int64_t least = least_of(model, blocks);
    const std::int64_t all = all_in_memory_bytes(model, blocks, kNeeds);
    std::int64_t before = 0;
    for (int i = 0; i <= 60; ++i) {
      needs.limit_bytes = least + (all - least) * i / 60;
      const auto placed = place(model.graph, blocks, needs, 2);
      if (std::holds_alternative<Infeasible>(placed)) continue;
      const std::int64_t pinned = std::get<Placement>(placed).pinned_bytes;
      CHECK(pinned > before - 2 * kMiB);
      before = pinned;
    }
  }
}

// The longest stretch of neighbouring streamed blocks in the order of execution, in blocks.
int longest_streamed_stretch(const FakeModel& model, const BlockTable& blocks,
                             const Placement& placement) {
  const std::vector<bool> pinned = pinned_blocks(blocks, placement);
  int longest = 0, now = 0;
  for (const BlockId id : touched_blocks(model.graph, blocks)) {
    now = pinned[static_cast<std::size_t>(index_of(id))] ? 0 : now + 1;
    longest = std::max(longest, now);
  }
  return longest;
}

TEST_CASE("when half of the weights fit, pinned and streamed blocks alternate") {
  for (const std::int64_t n_products : {16, 100, 400, 2000}) {
    const FakeModel model = uniform_model(n_products, 64);
    const BlockTable blocks = model.blocks();
    HostNeeds needs = kNeeds;
    const std::int64_t all = all_in_memory_bytes(model, blocks, kNeeds);
    needs.limit_bytes = kNeeds.fixed_bytes() + (all - kNeeds.fixed_bytes()) / 2 + 4 * 300 * kKiB;
    const auto placement = std::get<Placement>(place(model.graph, blocks, needs, 4));
    INFO(n_products << " products");
    CHECK(longest_streamed_stretch(model, blocks, placement) <= (n_products < 256 ? 3 : 9));
    CHECK(placement.pinned_bytes > all * 2 / 5);
  }
}

TEST_CASE("an embedding that only gives single rows is never pinned, a tied one can be") {
  FakeModel model;
  const TensorId embedding = model.add_tensor(100);
  model.add_embedding(embedding);
  model.add_product(100);
  SECTION("of its own") {
    model.add_head(model.add_tensor(100));
    const BlockTable blocks = model.blocks();
    HostNeeds needs = kNeeds;
    needs.limit_bytes = kGiB;
    const auto placement = std::get<Placement>(place(model.graph, blocks, needs, 0));
    CHECK_FALSE(pinned_blocks(blocks, placement)[0]);
    CHECK(placement.pinned_bytes < 3 * 100 * FakeModel::kRowBytes);
  }
  SECTION("tied") {
    model.add_head(embedding);
    const BlockTable blocks = model.blocks();
    HostNeeds needs = kNeeds;
    needs.limit_bytes = kGiB;
    const auto placement = std::get<Placement>(place(model.graph, blocks, needs, 0));
    CHECK(pinned_blocks(blocks, placement)[0]);
  }
}

TEST_CASE("blocks that a step touches come once, in order of first use") {
  FakeModel model;
  const TensorId embedding = model.add_tensor(600);  // two blocks and more
  model.add_embedding(embedding);
  model.add_product(5);
  model.add_norm();
  model.add_head(embedding);
  const BlockTable blocks = model.blocks();
  const std::int32_t n_embedding = blocks.of_tensor(embedding).count;
  REQUIRE(n_embedding > 1);
  const std::vector<BlockId> touched = touched_blocks(model.graph, blocks);
  REQUIRE(touched.size() == static_cast<std::size_t>(n_embedding) + 2);
  CHECK(index_of(touched[0]) == n_embedding);
  CHECK(index_of(touched[1]) == n_embedding + 1);
  CHECK(index_of(touched[2]) == 0);
}

}  // namespace
}  // namespace windlass

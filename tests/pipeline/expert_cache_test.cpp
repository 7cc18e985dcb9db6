// What routing asks for is there when it is due, whatever fits; what is read is what was not there.
#include "pipeline/expert_cache.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <set>
#include <vector>

#include "pipeline/placement.h"
#include "src/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/fault_io_engine.h"
#include "tests/support/seed.h"
#include "tests/tiers/model_fixture.h"

namespace windlass {
namespace {

constexpr int kExperts = 10;
constexpr std::int64_t kMatrixBytes = 3 * 4096, kSlotBytes = 4 * 4096;

// Ten experts of three blocks of a page, none of which begins at a page: reads of four pages.
struct CacheFixture {
  explicit CacheFixture(std::int64_t slots, const FaultPlan& faults = {}, std::int64_t more = 0)
      : file(kExperts * kMatrixBytes + 4096),
        tensors(table()),
        blocks(tensors, 4096),
        runs(all_runs()),
        store(tensors.files),
        io(faults),
        memory((slots + more) * kSlotBytes),
        tiers(tensors, blocks, store, io, {}),
        cache(tiers, runs,
              {memory.data(), memory.data() + slots * kSlotBytes, slots, more, kSlotBytes}) {
    std::memset(memory.data(), 0xEE, static_cast<std::size_t>(memory.size_bytes));
  }

  TensorTable table() const {
    TensorTable result;
    result.files.push_back(file.as_model_file());
    add_tensor(result, FileId{0}, DType::kF32, {kExperts, 12, 256}, 96);
    return result;
  }
  std::vector<Run> all_runs() const {
    std::vector<Run> all;
    for (int i = 0; i < kExperts; ++i) {
      all.push_back(make_run(blocks, blocks.of_matrix(TensorId{0}, i, kExperts)));
    }
    return all;
  }
  const Run& run(std::int32_t expert) const { return runs[static_cast<std::size_t>(expert)]; }
  std::set<std::int32_t> held() const {
    std::set<std::int32_t> result;
    for (std::int32_t i = 0; i < kExperts; ++i) {
      if (tiers.state(run(i).blocks.first) != BlockState::kAbsent) result.insert(i);
    }
    return result;
  }
  void want(const std::vector<std::int32_t>& experts) {
    cache.begin_step(1);
    cache.begin_routed();
    for (const std::int32_t expert : experts) cache.want(expert, 1);
  }
  // As the executor does; checks the bytes.
  void use(std::int32_t expert, bool ahead = true) {
    cache.require(expert);
    for (std::int32_t i = 0; i < run(expert).blocks.count; ++i) {
      const BlockId id{index_of(run(expert).blocks.first) + i};
      tiers.wait_present(id);
      const Lease lease = tiers.lease(id);
      const Extent& extent = blocks.at(id).extent;
      const std::byte* expected = file.bytes().data() + extent.offset_bytes;
      REQUIRE(std::equal(lease.bytes(), lease.bytes() + extent.size_bytes, expected));
    }
    cache.used(expert);
    if (ahead) cache.pump();
    tiers.poll();
  }
  void route(const std::vector<std::int32_t>& experts, bool ahead = true) {
    want(experts);
    if (ahead) cache.pump();
    for (const std::int32_t expert : experts) use(expert, ahead);
  }

  TempFile file;
  TensorTable tensors;
  BlockTable blocks;
  std::vector<Run> runs;
  DiskStore store;
  FaultIoEngine io;
  AlignedMemory memory;  // outlives the reads into it
  TierManager tiers;
  ExpertCache cache;
};

TEST_CASE("what a routing asks for is issued together, what is there is not read again") {
  CacheFixture f(6);
  f.want({1, 4, 7});
  f.cache.pump();
  CHECK(f.held() == std::set<std::int32_t>{1, 4, 7});
  for (const std::int32_t expert : {1, 4, 7}) f.use(expert);
  const std::size_t reads = f.io.submitted.size();
  f.route({4, 7});
  CHECK(f.io.submitted.size() == reads);
  CHECK(f.cache.stats().misses == 3);
  CHECK(f.cache.stats().hits == 2);
}

TEST_CASE("without pumping only what is due is read") {
  CacheFixture f(6);
  f.want({1, 4});
  f.use(1, false);
  CHECK(f.held() == std::set<std::int32_t>{1});
  f.use(4, false);
  CHECK(f.held() == std::set<std::int32_t>{1, 4});
}

TEST_CASE("two slots read one matrix while the other is used") {
  CacheFixture f(2);
  f.want({0, 1, 2, 3});
  f.cache.pump();
  CHECK(f.held() == std::set<std::int32_t>{0, 1});
  f.use(0);
  CHECK(f.held() == std::set<std::int32_t>{1, 2});
  for (const std::int32_t expert : {1, 2, 3}) f.use(expert);
}

TEST_CASE("reading ahead takes no more than half of the slots from what is there") {
  CacheFixture f(6);
  f.route({0, 1, 2, 3, 4, 5});
  for (int i = 0; i < 5; ++i) f.route({0, 1, 2, 3, 4, 5});
  f.want({6, 7, 8, 9});
  f.cache.pump();
  CHECK(f.held().size() == 6);
  std::set<std::int32_t> kept = f.held();
  CHECK(std::count_if(kept.begin(), kept.end(), [](std::int32_t i) { return i < 6; }) == 3);
  for (const std::int32_t expert : {6, 7, 8, 9}) f.use(expert);
}

TEST_CASE("a matrix that is still wanted is not pushed out by reading ahead") {
  CacheFixture f(3);
  f.route({8, 9});
  f.want({0, 1, 8, 9});
  f.cache.pump();
  CHECK(f.held() == std::set<std::int32_t>{0, 8, 9});
  for (const std::int32_t expert : {0, 1, 8, 9}) f.use(expert);
  CHECK(f.cache.stats().hits == 2);
}

TEST_CASE("when all that is there is wanted later, the last of it gives way and comes again") {
  CacheFixture f(2);
  f.route({8, 9});
  f.route({0, 8, 9});
  CHECK(f.cache.stats().misses == 2 + 2);
  CHECK(f.cache.stats().hits == 1);
}

TEST_CASE("what many tokens were routed to stays, what few were goes") {
  CacheFixture f(4);
  f.cache.begin_routed();
  for (const std::int32_t expert : {0, 1}) f.cache.want(expert, 50);
  for (const std::int32_t expert : {0, 1}) f.use(expert);
  for (std::int32_t expert = 2; expert < 10; ++expert) f.route({expert});
  const std::set<std::int32_t> held = f.held();
  CHECK(held.count(0) == 1);
  CHECK(held.count(1) == 1);
}

TEST_CASE("more slots hold experts while they may, and are left untouched before and after") {
  CacheFixture f(2, {}, 3);
  const auto more_is_untouched = [&] {
    const std::byte* more = f.memory.data() + 2 * kSlotBytes;
    return std::all_of(more, more + 3 * kSlotBytes,
                       [](std::byte b) { return b == std::byte{0xEE}; });
  };
  f.route({0, 1, 2, 3, 4});
  CHECK(more_is_untouched());
  f.cache.hold_more(true);
  f.route({0, 1, 2, 3, 4});
  CHECK(f.held().size() == 5);
  const std::int64_t misses = f.cache.stats().misses;
  f.route({0, 1, 2, 3, 4});
  CHECK(f.cache.stats().misses == misses);
  f.cache.hold_more(false);
  CHECK(f.held().size() == 2);
  std::memset(f.memory.data() + 2 * kSlotBytes, 0xEE, 3 * kSlotBytes);
  for (int i = 0; i < 3; ++i) f.route({5, 6, 7, 8, 9});
  CHECK(more_is_untouched());
}

// Routings with a preference, so that some experts come again.
std::vector<std::int32_t> random_routing(std::mt19937_64& random) {
  std::vector<std::int32_t> experts;
  for (std::int32_t i = 0; i < kExperts; ++i) {
    if (random() % static_cast<std::uint64_t>(i + 2) < 2) experts.push_back(i);
  }
  return experts;
}

TEST_CASE("any routing under any number of slots sees its own bytes and reads what it missed") {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 60; ++round) {
    FaultPlan faults;
    faults.seed = test_seed() + static_cast<std::uint64_t>(round);
    faults.max_latency = round % 5;
    faults.reorder = round % 2 == 1;
    faults.short_read_rate = round % 3 == 0 ? 0.3 : 0.0;
    faults.capacity = 2 + round % 7;
    CacheFixture f(2 + round % 10, faults);
    INFO("round " << round);
    std::int64_t uses = 0;
    for (int routing = 0; routing < 30; ++routing) {
      const std::vector<std::int32_t> experts = random_routing(random);
      f.route(experts, round % 4 != 3);
      uses += std::ssize(experts);
    }
    const ExpertStats stats = f.cache.stats();
    REQUIRE(stats.hits + stats.misses == uses);
    REQUIRE(f.tiers.disk_to_host().bytes == stats.misses * kSlotBytes);
    if (2 + round % 10 >= kExperts) REQUIRE(stats.misses <= kExperts);
  }
}

TEST_CASE("after a failed read the cache goes on, with what was there and nothing loading") {
  for (int failing = 0; failing < 8; ++failing) {
    FaultPlan faults;
    faults.fail_read = failing;
    faults.max_latency = failing % 3;
    faults.reorder = true;
    faults.seed = test_seed();
    CacheFixture f(5, faults);
    INFO("read " << failing);
    bool failed = false;
    for (const auto& experts :
         std::vector<std::vector<std::int32_t>>{{0, 1, 2}, {3, 4, 5, 6}, {0, 7}}) {
      try {
        f.route(experts);
      } catch (const Error&) {
        failed = true;
        f.cache.give_up();
        for (std::int32_t i = 0; i < kExperts; ++i) {
          const BlockState state = f.tiers.state(f.run(i).blocks.first);
          REQUIRE(state != BlockState::kLoading);
        }
      }
    }
    CHECK(failed);
    for (std::int32_t i = 0; i < kExperts; ++i) f.route({i});
  }
}

TEST_CASE("a step given up in the middle keeps what is present and drops what is loading") {
  FaultPlan faults;
  faults.hold = true;  // nothing completes but for a wait
  CacheFixture f(4, faults);
  f.want({0, 1, 2});
  f.cache.pump();
  f.use(0);
  f.cache.give_up();
  CHECK(f.held() == std::set<std::int32_t>{0});
  f.route({0, 1});
  CHECK(f.cache.stats().hits == 1);
}

}  // namespace
}  // namespace windlass

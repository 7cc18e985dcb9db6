// Read-ahead: how far, across steps, and what another plan makes of it.
#include "pipeline/ring.h"

#include "tests/support/catch.h"
#include "tests/support/fault_io_engine.h"
#include "tests/tiers/model_fixture.h"
#include "tiers/tier_manager.h"

namespace windlass {
namespace {

constexpr int kBlocks = 6;
constexpr std::int64_t kBlockBytes = 4096;

// A file of six blocks of one page, and plans that read them one after another.
struct RingFixture {
  explicit RingFixture(std::int64_t slots)
      : file(kBlocks * kBlockBytes),
        tensors(table()),
        blocks(tensors, kBlockBytes),
        store(tensors.files),
        io(FaultPlan{}),
        memory(slots * kBlockBytes),
        tiers(tensors, blocks, store, io, {}),
        ring(tiers, memory.data(), slots, kBlockBytes) {}

  TensorTable table() const {
    TensorTable result;
    result.files.push_back(file.as_model_file());
    for (int i = 0; i < kBlocks; ++i) add_tensor(result, FileId{0}, DType::kF32, {1, 1024});
    return result;
  }
  // A plan whose entry i reads order[i].
  Plan plan_of(const std::vector<int>& order) const {
    Plan plan;
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(order.size()); ++i) {
      const BlockRange range{BlockId{order[static_cast<std::size_t>(i)]}, 1};
      plan.compute.push_back({0, range, 0, 1});
      plan.loads.push_back({make_run(blocks, range), i, i});
    }
    return plan;
  }
  BlockState state(int block) const { return tiers.state(BlockId{block}); }
  std::vector<int> held() const {
    std::vector<int> result;
    for (int i = 0; i < kBlocks; ++i) {
      if (state(i) != BlockState::kAbsent) result.push_back(i);
    }
    return result;
  }
  // Uses and frees entry i as the executor does.
  void step_over(const Plan& plan, std::int32_t i, bool ahead = true) {
    tiers.wait_present(plan.compute[static_cast<std::size_t>(i)].blocks.first);
    ring.release(i);
    ring.pump(i + 1, ahead);
  }
  void run_all(const Plan& plan) {
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(plan.compute.size()); ++i) {
      step_over(plan, i);
    }
  }

  TempFile file;
  TensorTable tensors;
  BlockTable blocks;
  DiskStore store;
  FaultIoEngine io;
  AlignedMemory memory;  // outlives the reads into it
  TierManager tiers;
  Ring ring;
};

TEST_CASE("a ring reads ahead as far as its slots reach") {
  RingFixture f(3);
  const Plan plan = f.plan_of({0, 1, 2, 3, 4});
  f.ring.begin_step(&plan, nullptr);
  f.ring.pump(0, true);
  CHECK(f.held() == std::vector<int>{0, 1, 2});
  f.step_over(plan, 0);
  CHECK(f.held() == std::vector<int>{1, 2, 3});
  for (std::int32_t i = 1; i < 5; ++i) f.step_over(plan, i);
  CHECK(f.held().empty());
  CHECK(f.ring.loads_ahead() == 0);
}

TEST_CASE("without overlap a ring reads only what the entry needs") {
  RingFixture f(3);
  const Plan plan = f.plan_of({0, 1, 2});
  const Plan next = f.plan_of({3});
  f.ring.begin_step(&plan, &next);
  f.ring.pump(0, false);
  CHECK(f.held() == std::vector<int>{0});
  f.step_over(plan, 0, false);
  CHECK(f.held() == std::vector<int>{1});
  f.step_over(plan, 1, false);
  f.step_over(plan, 2, false);
  CHECK(f.held().empty());
}

TEST_CASE("what was read ahead for the next step is there when it begins") {
  RingFixture f(3);
  const Plan plan = f.plan_of({0, 1, 2, 3});
  f.ring.begin_step(&plan, &plan);
  f.ring.pump(0, true);
  f.run_all(plan);
  CHECK(f.held() == std::vector<int>{0, 1, 2});
  const std::size_t reads = f.io.submitted.size();
  f.ring.begin_step(&plan, &plan);
  f.ring.pump(0, true);
  CHECK(f.io.submitted.size() == reads);
  f.run_all(plan);
  CHECK(f.io.submitted.size() == 4 * 2 + 3);
}

TEST_CASE("the bytes in a slot are the block's, step after step") {
  RingFixture f(GENERATE(1, 2, 3));
  const Plan plan = f.plan_of({5, 0, 3, 1, 2});
  for (int step = 0; step < 4; ++step) {
    f.ring.begin_step(&plan, &plan);
    f.ring.pump(0, true);
    for (std::int32_t i = 0; i < 5; ++i) {
      const BlockId id = plan.compute[static_cast<std::size_t>(i)].blocks.first;
      f.tiers.wait_present(id);
      {
        const Lease lease = f.tiers.lease(id);
        const std::byte* expected = f.file.bytes().data() + index_of(id) * kBlockBytes;
        REQUIRE(std::equal(lease.bytes(), lease.bytes() + kBlockBytes, expected));
      }
      f.step_over(plan, i);
    }
  }
}

TEST_CASE("what was read ahead for another plan is dropped") {
  RingFixture f(3);
  const Plan plan = f.plan_of({0, 1});
  const Plan other = f.plan_of({4, 5});
  f.ring.begin_step(&plan, &plan);
  f.ring.pump(0, true);
  f.run_all(plan);
  CHECK(f.held() == std::vector<int>{0, 1});
  f.ring.begin_step(&other, nullptr);
  CHECK(f.held().empty());
  f.ring.pump(0, true);
  CHECK(f.held() == std::vector<int>{4, 5});
  f.run_all(other);
  CHECK(f.held().empty());
}

TEST_CASE("clear drops everything, in the middle of a step too, and the ring goes on") {
  RingFixture f(2);
  const Plan plan = f.plan_of({0, 1, 2, 3});
  f.ring.begin_step(&plan, &plan);
  f.ring.pump(0, true);
  f.step_over(plan, 0);
  f.ring.clear();
  CHECK(f.held().empty());
  CHECK(f.ring.loads_ahead() == 0);
  f.ring.begin_step(&plan, nullptr);
  f.ring.pump(0, true);
  CHECK(f.held() == std::vector<int>{0, 1});
  f.run_all(plan);
  CHECK(f.held().empty());
}

TEST_CASE("a block that two loads of a plan name is read again for the second") {
  RingFixture f(2);
  const Plan plan = f.plan_of({0, 1, 2, 0});
  f.ring.begin_step(&plan, nullptr);
  f.ring.pump(0, true);
  f.run_all(plan);
  CHECK(f.io.submitted.size() == 4);
}

}  // namespace
}  // namespace windlass

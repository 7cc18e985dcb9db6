// Plans for mixtures of experts: what is where, what a step is expected to read, and how long it
// takes.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "pipeline/expert_cache.h"
#include "pipeline/expert_runs.h"
#include "pipeline/planner.h"
#include "tests/pipeline/fake_model.h"
#include "tests/support/catch.h"
#include "tests/support/seed.h"

namespace windlass {
namespace {

using namespace windlass::test;

constexpr HostNeeds kNeeds{0, 8192, 65536, 65536, 10000};

// Two layers of 4 MB of dense weights and 2 * 8 expert matrices of 400 KB, 2 of 8 for each row.
FakeModel two_layers() {
  FakeModel model;
  for (int layer = 0; layer < 2; ++layer) {
    for (int i = 0; i < 4; ++i) model.add_product(250);
    model.add_experts(8, 2, 100);
  }
  return model;
}

std::int64_t dense_bytes(const FakeModel& model, const BlockTable& blocks) {
  std::int64_t bytes = 0;
  for (const BlockId id : touched_blocks(model.graph, blocks)) {
    bytes += blocks.at(id).extent.size_bytes;
  }
  return bytes;
}

TEST_CASE("a plan plays every expert of every op once, between its routing and the next") {
  const FakeModel model = two_layers();
  const BlockTable blocks = model.blocks(128 * kKiB);  // several blocks a matrix
  const std::vector<Run> runs = expert_runs(model.graph, blocks);
  REQUIRE(runs.size() == 2 * 2 * 8);
  HostNeeds needs = kNeeds;
  for (const SlotCounts& slots : std::vector<SlotCounts>{{0, 0}, {0, 2}, {3, 4}}) {
    needs.limit_bytes = kGiB;
    const auto placement = std::get<Placement>(place(model.graph, blocks, needs, slots));
    const Plan plan = make_plan(model.graph, blocks, placement, true);
    std::int32_t next = 0;
    for (const ComputeEntry& entry : plan.compute) {
      const GraphOp& op = model.graph.ops[static_cast<std::size_t>(entry.op)];
      REQUIRE((entry.expert_run >= 0) == has_experts(op));
      if (!has_experts(op)) continue;
      REQUIRE(entry.expert_run == next);
      REQUIRE(entry.matrix == next % 8);
      REQUIRE(entry.first_row == 0);
      REQUIRE(entry.n_rows == 100);
      const BlockRange& blocks_of_run = runs[static_cast<std::size_t>(next)].blocks;
      REQUIRE(entry.blocks.first == blocks_of_run.first);
      REQUIRE(entry.blocks.count == blocks_of_run.count);
      ++next;
    }
    REQUIRE(next == 32);
    REQUIRE(plan.routed.size() == 2);
    for (const RoutedStretch& stretch : plan.routed) {
      const auto& route = plan.compute[static_cast<std::size_t>(stretch.route)];
      CHECK(model.graph.ops[static_cast<std::size_t>(route.op)].kind == OpKind::kRoute);
      CHECK(stretch.end - stretch.route >= 1 + 16);
    }
    CHECK(plan.routed[0].end == plan.routed[1].route);  // the next routing ends it
    CHECK(plan.routed[1].end == std::ssize(plan.compute));
  }
}

TEST_CASE(
    "experts get what dense weights leave, down to two slots, and then dense weights stream") {
  const FakeModel model = two_layers();
  const BlockTable blocks = model.blocks();
  const Profile profile = fake_profile(1e9, 4e9, 50e-6);
  const CostModel costs = model.costs(profile);
  HostNeeds needs = kNeeds;
  const std::int64_t all = all_in_memory_bytes(model, blocks, needs);
  const auto chosen_for = [&](std::int64_t limit) {
    needs.limit_bytes = limit;
    const auto chosen = choose_placement(model.graph, blocks, needs, costs, StepLoad{}, true);
    return std::get<std::vector<Candidate>>(chosen).front().placement;
  };
  CHECK(chosen_for(all).expert_slots == 0);
  const Placement most = chosen_for(all - 1);
  CHECK(most.ring_slots == 0);
  CHECK(most.expert_slots > 24);
  CHECK(most.total_bytes() <= all - 1);
  CHECK(most.total_bytes() + most.expert_slot_bytes > all - 1);
  CHECK(most.pinned_bytes >= dense_bytes(model, blocks));

  const Placement two =
      chosen_for(most.total_bytes() - (most.expert_slots - 2) * most.expert_slot_bytes);
  CHECK(two.ring_slots == 0);
  CHECK(two.expert_slots == 2);
  const Placement ring = chosen_for(two.total_bytes() - 1);
  CHECK(ring.ring_slots >= 2);
  CHECK(ring.expert_slots >= 2);
  CHECK(ring.pinned_bytes < dense_bytes(model, blocks));
}

TEST_CASE("the least limit of a mixture works, and a byte less is refused with it") {
  std::mt19937_64 random(test_seed());
  const Profile profile = fake_profile(1e9, 4e9, 50e-6);
  for (int round = 0; round < 20; ++round) {
    const FakeModel model = random_mixture(random);
    const BlockTable blocks = model.blocks();
    HostNeeds needs = kNeeds;
    const std::int64_t least = least_limit_bytes(model.graph, blocks, needs);
    const auto choose = [&](std::int64_t limit) {
      needs.limit_bytes = limit;
      return choose_placement(model.graph, blocks, needs, model.costs(profile), StepLoad{}, true);
    };
    const auto chosen = choose(least);
    REQUIRE(std::holds_alternative<std::vector<Candidate>>(chosen));
    for (const Candidate& candidate : std::get<std::vector<Candidate>>(chosen)) {
      CHECK(candidate.placement.total_bytes() <= least);
    }
    const auto refused = choose(least - 1);
    REQUIRE(std::holds_alternative<Infeasible>(refused));
    CHECK(std::get<Infeasible>(refused).least_bytes == least);
  }
}

TEST_CASE("the bound of a mixture is below what any placement is predicted to take") {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 15; ++round) {
    const FakeModel model = random_mixture(random);
    const BlockTable blocks = model.blocks();
    const Profile profile = fake_profile(1e9, round % 2 == 0 ? 5e8 : 5e9, 50e-6);
    const CostModel costs = model.costs(profile);
    HostNeeds needs = kNeeds;
    const std::int64_t least = least_limit_bytes(model.graph, blocks, needs);
    const std::int64_t all = all_in_memory_bytes(model, blocks, needs);
    for (const std::int64_t rows : {1, 7, 400}) {
      const StepLoad load{rows, 1, 0};
      for (int i = 0; i <= 8; ++i) {
        needs.limit_bytes = least + (all - least) * i / 8;
        const auto chosen = choose_placement(model.graph, blocks, needs, costs, load, true);
        for (const Candidate& candidate : std::get<std::vector<Candidate>>(chosen)) {
          const Plan plan = make_plan(model.graph, blocks, candidate.placement, true, true);
          const bool resident = embedding_resident(model.graph, blocks, candidate.placement);
          const Bound bound = make_bound(plan, blocks, costs, load, needs.limit_bytes, resident);
          INFO("round " << round << ", rows " << rows << ", " << candidate.name);
          CHECK(bound.step_s > 0);
          CHECK(bound.step_s <= candidate.decode.step_s * (1 + 1e-9));
        }
      }
    }
  }
}

TEST_CASE("a step's expected bytes are those of the experts that rows touch and memory lacks") {
  const FakeModel model = two_layers();
  const BlockTable blocks = model.blocks();
  const std::vector<Run> runs = expert_runs(model.graph, blocks);
  double all_bytes = 0;
  for (const Run& run : runs) all_bytes += static_cast<double>(run.aligned.size_bytes);
  const Profile profile = fake_profile(1e9, 1e15);
  const CostModel costs = model.costs(profile);
  HostNeeds needs = kNeeds;
  needs.limit_bytes = all_in_memory_bytes(model, blocks, needs) - 8 * 410 * kKiB;
  const auto placement = std::get<Placement>(place(model.graph, blocks, needs, {0, 2}));
  REQUIRE(placement.expert_slots < 32);
  const double hit_rate = expected_hit_rate(placement, 32, false);
  CHECK(hit_rate > 0.2);
  CHECK(hit_rate < static_cast<double>(placement.expert_slots) / 32);
  const Plan plan = make_plan(model.graph, blocks, placement, true);
  for (const std::int64_t rows : {1, 3, 200}) {
    const double touched = 1 - std::pow(1 - 2.0 / 8, static_cast<double>(rows));
    const Prediction prediction =
        simulate(plan, costs, {rows, 1, 0}, simulator_options(placement, runs, true, true, false));
    const double expected = touched * (1 - hit_rate) * all_bytes;
    INFO(rows << " rows");
    CHECK(static_cast<double>(prediction.disk_bytes) == Approx(expected).epsilon(1e-6));
    CHECK(prediction.step_s == Approx(expected / 1e9).epsilon(0.01));  // the disk is all there is
  }
}

TEST_CASE("reading experts overlaps with computing them, with two slots too") {
  const FakeModel model = two_layers();
  const BlockTable blocks = model.blocks();
  const std::vector<Run> runs = expert_runs(model.graph, blocks);
  HostNeeds needs = kNeeds;
  needs.limit_bytes = kGiB;
  auto placement = std::get<Placement>(place(model.graph, blocks, needs, {0, 2}));
  placement.expert_slots = 2;
  const Plan plan = make_plan(model.graph, blocks, placement, true);
  const Profile profile = fake_profile(1e9, 1e9);
  const StepLoad many{1000, 1, 0};  // all experts are touched
  const auto step = [&](bool overlap) {
    return simulate(plan, model.costs(profile), many,
                    simulator_options(placement, runs, overlap, true, false));
  };
  const Prediction ahead = step(true), late = step(false);
  CHECK(late.step_s == Approx(late.cpu_busy_s + late.disk_busy_s).epsilon(1e-6));
  CHECK(ahead.step_s < 0.75 * late.step_s);
  CHECK(ahead.step_s >= std::max(ahead.cpu_busy_s, ahead.disk_busy_s) * (1 - 1e-9));
}

}  // namespace
}  // namespace windlass

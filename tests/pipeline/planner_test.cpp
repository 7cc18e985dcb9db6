// What a Plan promises its players, and that the chosen placement is about the best there is.
#include "pipeline/planner.h"

#include <algorithm>
#include <limits>
#include <map>
#include <vector>

#include "tests/pipeline/fake_model.h"
#include "tests/support/catch.h"
#include "tests/support/seed.h"

namespace windlass {
namespace {

using namespace windlass::test;

constexpr HostNeeds kNeeds{0, 8192, 65536, 65536, 10000};

bool in_range(const BlockRange& range, BlockId id) {
  const std::int32_t i = index_of(id) - index_of(range.first);
  return i >= 0 && i < range.count;
}

std::vector<bool> pinned_blocks(const BlockTable& blocks, const Placement& placement) {
  std::vector<bool> pinned(blocks.blocks().size(), false);
  for (const PlacedRun& placed : placement.pinned) {
    for (std::int32_t i = 0; i < placed.run.blocks.count; ++i) {
      pinned[static_cast<std::size_t>(index_of(placed.run.blocks.first) + i)] = true;
    }
  }
  return pinned;
}

// Rows of each op's weight come once, in order, with the blocks that hold them.
void check_rows(const FakeModel& model, const BlockTable& blocks, const Plan& plan) {
  std::map<std::int32_t, std::int64_t> next_row;
  for (const ComputeEntry& entry : plan.compute) {
    const GraphOp& op = model.graph.ops[static_cast<std::size_t>(entry.op)];
    if (entry.blocks.count == 0) continue;
    REQUIRE(blocks.at(entry.blocks.first).tensor == op.weight);
    REQUIRE(blocks.at(entry.blocks.first).first_row == entry.first_row);
    REQUIRE(entry.first_row == next_row[entry.op]);
    std::int64_t rows = 0;
    for (std::int32_t i = 0; i < entry.blocks.count; ++i) {
      rows += blocks.at(BlockId{index_of(entry.blocks.first) + i}).n_rows;
    }
    REQUIRE(rows == entry.n_rows);
    next_row[entry.op] += rows;
  }
  for (std::size_t i = 0; i < model.graph.ops.size(); ++i) {
    const GraphOp& op = model.graph.ops[i];
    if (op.weight == kNoTensor || op.kind == OpKind::kEmbedRows) continue;
    REQUIRE(next_row[static_cast<std::int32_t>(i)] == model.tensors.at(op.weight).n_rows());
  }
}

// Loads are disjoint and ascending, fit their slots, and each is there for the entries that need
// it.
void check_loads(const BlockTable& blocks, const Placement& placement, const Plan& plan) {
  std::int32_t last_use = -1;
  for (const LoadEntry& load : plan.loads) {
    REQUIRE(load.first_use > last_use);
    REQUIRE(load.last_use >= load.first_use);
    REQUIRE(load.run.aligned.size_bytes <= placement.slot_bytes);
    last_use = load.last_use;
  }
  REQUIRE(last_use < static_cast<std::int32_t>(plan.compute.size()));
  const std::vector<bool> pinned = pinned_blocks(blocks, placement);
  std::size_t now = 0;
  for (std::int32_t i = 0; i < static_cast<std::int32_t>(plan.compute.size()); ++i) {
    while (now < plan.loads.size() && plan.loads[now].last_use < i) ++now;
    const ComputeEntry& entry = plan.compute[static_cast<std::size_t>(i)];
    for (std::int32_t b = 0; b < entry.blocks.count; ++b) {
      const BlockId id{index_of(entry.blocks.first) + b};
      const bool is_pinned = pinned[static_cast<std::size_t>(index_of(id))];
      const auto first = static_cast<std::size_t>(index_of(entry.blocks.first));
      REQUIRE(is_pinned == pinned[first]);  // one entry is one stretch of memory
      if (is_pinned) continue;
      REQUIRE(now < plan.loads.size());
      REQUIRE(plan.loads[now].first_use <= i);
      REQUIRE(in_range(plan.loads[now].run.blocks, id));
    }
  }
}

void check_pinned_stretches(const Placement& placement, const Plan& plan,
                            const BlockTable& blocks) {
  const std::vector<bool> pinned = pinned_blocks(blocks, placement);
  for (const ComputeEntry& entry : plan.compute) {
    if (entry.blocks.count == 0) continue;
    if (!pinned[static_cast<std::size_t>(index_of(entry.blocks.first))]) continue;
    const BlockId last{index_of(entry.blocks.first) + entry.blocks.count - 1};
    REQUIRE(std::any_of(placement.pinned.begin(), placement.pinned.end(), [&](const auto& placed) {
      return in_range(placed.run.blocks, entry.blocks.first) && in_range(placed.run.blocks, last);
    }));
  }
}

TEST_CASE("a plan covers every weight row once, from loads that are disjoint and in order") {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 40; ++round) {
    const FakeModel model = random_model(random);
    const BlockTable blocks = model.blocks();
    HostNeeds needs = kNeeds;
    const std::int64_t least = least_limit_bytes(model.graph, blocks, needs);
    const std::int64_t all = all_in_memory_bytes(model, blocks, needs);
    for (int i = 0; i <= 10; ++i) {
      needs.limit_bytes = least + (all - least) * i / 10;
      for (const std::int64_t slots : {0, 2, 5, 32}) {
        const auto placed = place(model.graph, blocks, needs, slots);
        if (std::holds_alternative<Infeasible>(placed)) continue;
        const auto& placement = std::get<Placement>(placed);
        INFO("round " << round << ", limit " << needs.limit_bytes << ", slots " << slots);
        const Plan plan = make_plan(model.graph, blocks, placement, true);
        check_rows(model, blocks, plan);
        check_loads(blocks, placement, plan);
        check_pinned_stretches(placement, plan, blocks);
        if (slots == 0) REQUIRE(plan.loads.empty());
      }
    }
  }
}

TEST_CASE("independent products run beside each other as long as they are small together") {
  FakeModel model = uniform_model(5, 256);  // of 1 MiB each
  for (std::size_t i = 0; i < model.graph.ops.size(); ++i) {
    model.graph.ops[i].independent = i == 0 ? -1 : 7;
  }
  const BlockTable blocks = model.blocks(2 * kMiB);
  HostNeeds needs = kNeeds;
  needs.limit_bytes = kGiB;
  const auto placement = std::get<Placement>(place(model.graph, blocks, needs, 0));
  const Plan plan = make_plan(model.graph, blocks, placement, true);
  std::vector<bool> beside;
  for (const ComputeEntry& entry : plan.compute) beside.push_back(entry.beside_previous);
  CHECK(beside == std::vector<bool>{false, false, true, true, true});
  model.graph.ops[3].independent = 8;
  CHECK_FALSE(make_plan(model.graph, blocks, placement, true).compute[3].beside_previous);
}

TEST_CASE("finished columns of the logits leave before the next tile overwrites them") {
  FakeModel model;
  model.add_product(3);
  model.add_head(model.add_tensor(1200));
  const BlockTable blocks = model.blocks();
  HostNeeds needs = kNeeds;
  needs.limit_bytes = kGiB;
  for (const std::int64_t slots : {0, 2}) {
    const auto placement = std::get<Placement>(place(model.graph, blocks, needs, slots));
    const Plan plan = make_plan(model.graph, blocks, placement, true);
    std::int64_t emitted = 0;
    for (std::size_t i = 0; i + 1 < plan.compute.size(); ++i) {
      if (plan.compute[i].op != 1) continue;
      CHECK(plan.compute[i].blocks.count == 1);
      CHECK(plan.compute[i + 1].op == 2);
      CHECK(plan.compute[i + 1].first_row == plan.compute[i].first_row);
      CHECK(plan.compute[i + 1].n_rows == plan.compute[i].n_rows);
      emitted += plan.compute[i + 1].n_rows;
    }
    CHECK(emitted == 1200);
  }
}

TEST_CASE("a step that wants no logits neither reads nor computes the head") {
  FakeModel model;
  model.add_product(300);
  model.add_head(model.add_tensor(900));
  const BlockTable blocks = model.blocks();
  HostNeeds needs = kNeeds;
  needs.limit_bytes = least_limit_bytes(model.graph, blocks, needs);
  const auto placement = std::get<Placement>(place(model.graph, blocks, needs, kMinRingSlots));
  const Plan plan = make_plan(model.graph, blocks, placement, false);
  CHECK(std::all_of(plan.compute.begin(), plan.compute.end(),
                    [](const ComputeEntry& entry) { return entry.op == 0; }));
  CHECK(plan.loads.size() < make_plan(model.graph, blocks, placement, true).loads.size());
}

// A placement that pins exactly the chosen blocks, each as its own run.
Placement pin_exactly(const BlockTable& blocks, const std::vector<BlockId>& touched,
                      std::uint32_t chosen, std::int64_t slots) {
  Placement placement;
  placement.staging_bytes = align_up(kNeeds.staging_bytes, kDirectAlignment);
  placement.activation_bytes = align_up(kNeeds.activation_bytes, kDirectAlignment);
  placement.kv_bytes = align_up(kNeeds.kv_bytes, kDirectAlignment);
  placement.table_bytes = kNeeds.table_bytes;
  placement.ring_slots = slots;
  for (std::size_t i = 0; i < touched.size(); ++i) {
    const Run run = make_run(blocks, {touched[i], 1});
    placement.slot_bytes = std::max(placement.slot_bytes, run.aligned.size_bytes);
    if ((chosen >> i & 1) == 0) continue;
    placement.pinned.push_back({run, placement.pinned_bytes});
    placement.pinned_bytes += run.aligned.size_bytes;
  }
  return placement;
}

double best_of_all_subsets(const FakeModel& model, const BlockTable& blocks, const CostModel& costs,
                           const HostNeeds& needs) {
  const std::vector<BlockId> touched = touched_blocks(model.graph, blocks);
  REQUIRE(touched.size() <= 12);
  double best = std::numeric_limits<double>::infinity();
  for (std::uint32_t chosen = 0; chosen < (1U << touched.size()); ++chosen) {
    for (const std::int64_t slots : {2, 3, 4, 8}) {
      const Placement placement = pin_exactly(blocks, touched, chosen, slots);
      if (placement.total_bytes() > needs.limit_bytes) continue;
      const Plan plan = make_plan(model.graph, blocks, placement, true);
      best = std::min(best, simulate(plan, costs, StepLoad{}, {slots, true, false}).step_s);
    }
  }
  return best;
}

// Compares with every pinned subset, at six limits between the least and all.
void check_against_all_subsets(const FakeModel& model, double disk_rate, double cpu_rate) {
  const BlockTable blocks = model.blocks();
  const Profile profile = fake_profile(disk_rate, cpu_rate, 100e-6);
  const CostModel costs = model.costs(profile);
  HostNeeds needs = kNeeds;
  const std::int64_t least = least_limit_bytes(model.graph, blocks, needs);
  const std::int64_t all = all_in_memory_bytes(model, blocks, needs);
  for (int i = 0; i < 6; ++i) {
    needs.limit_bytes = least + (all - least) * i / 6;
    const auto chosen = choose_placement(model.graph, blocks, needs, costs, StepLoad{}, true);
    const auto& candidates = std::get<std::vector<Candidate>>(chosen);
    const double best = best_of_all_subsets(model, blocks, costs, needs);
    INFO("disk " << disk_rate << ", cpu " << cpu_rate << ", limit " << needs.limit_bytes << " of "
                 << all << ", " << candidates.front().name);
    CHECK(candidates.front().decode.step_s <= 1.05 * best);
  }
}

TEST_CASE("the chosen placement is within 5 % of the best of all pinned subsets") {
  const double disk_rate = GENERATE(1e9, 2e9);
  const double cpu_rate = GENERATE(5e8, 2e9, 8e9);
  check_against_all_subsets(uniform_model(11, 200), disk_rate, cpu_rate);
}

TEST_CASE("everything is pinned when it fits") {
  const FakeModel model = uniform_model(9, 100);
  const BlockTable blocks = model.blocks();
  const Profile profile = fake_profile(1e9, 1e9);
  HostNeeds needs = kNeeds;
  needs.limit_bytes = all_in_memory_bytes(model, blocks, needs);
  const auto chosen =
      choose_placement(model.graph, blocks, needs, model.costs(profile), StepLoad{}, true);
  const auto& candidates = std::get<std::vector<Candidate>>(chosen);
  CHECK(candidates.front().placement.ring_slots == 0);
  CHECK(candidates.front().decode.disk_bytes == 0);
}

TEST_CASE("a limit that is too small is refused with the least that would do") {
  const FakeModel model = uniform_model(9, 100);
  const BlockTable blocks = model.blocks();
  const Profile profile = fake_profile(1e9, 1e9);
  HostNeeds needs = kNeeds;
  const std::int64_t least = least_limit_bytes(model.graph, blocks, needs);
  needs.limit_bytes = least - 1;
  const auto chosen =
      choose_placement(model.graph, blocks, needs, model.costs(profile), StepLoad{}, true);
  REQUIRE(std::holds_alternative<Infeasible>(chosen));
  CHECK(std::get<Infeasible>(chosen).least_bytes == least);
}

TEST_CASE("the bound is below what any placement is predicted to take") {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 20; ++round) {
    const FakeModel model = random_model(random);
    const BlockTable blocks = model.blocks();
    const Profile profile = fake_profile(1e9, round % 2 == 0 ? 5e8 : 5e9, 50e-6);
    const CostModel costs = model.costs(profile);
    HostNeeds needs = kNeeds;
    const std::int64_t least = least_limit_bytes(model.graph, blocks, needs);
    const std::int64_t all = all_in_memory_bytes(model, blocks, needs);
    for (int i = 0; i <= 4; ++i) {
      needs.limit_bytes = least + (all - least) * i / 4;
      const auto chosen = choose_placement(model.graph, blocks, needs, costs, StepLoad{}, true);
      for (const Candidate& candidate : std::get<std::vector<Candidate>>(chosen)) {
        const Plan plan = make_plan(model.graph, blocks, candidate.placement, true);
        const bool resident = embedding_resident(model.graph, blocks, candidate.placement);
        const Bound bound =
            make_bound(plan, blocks, costs, StepLoad{}, needs.limit_bytes, resident);
        CHECK(bound.step_s > 0);
        CHECK(bound.step_s <= candidate.decode.step_s * (1 + 1e-9));
      }
    }
  }
}

}  // namespace
}  // namespace windlass

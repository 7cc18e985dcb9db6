// Mixtures of experts under the executor: the same bits however few experts memory holds, whatever
// the disk does, and nothing read that no row is routed to.
#include <algorithm>
#include <climits>
#include <random>
#include <vector>

#include "pipeline/expert_runs.h"
#include "pipeline/planner.h"
#include "src/base/error.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/rig.h"
#include "tests/support/catch.h"
#include "tests/support/seed.h"

namespace windlass {
namespace {

using namespace windlass::test;

constexpr std::int64_t kRows = 24;

// Experts as one tensor each layer, and as a tensor each (folders).
struct Mixture {
  explicit Mixture(const std::string& name, bool folder = false)
      : model(open_model(golden_folder(name) + (folder ? "" : "/model.gguf"))),
        graph(build_layer_graph(model.spec, model.tensors, Activations::kExact)),
        blocks(model.tensors, 4 * kKiB),
        experts(expert_runs(graph, blocks)),
        ids(golden_ids(name, 1)) {
    ids.resize(2 * kRows + 12);
  }

  std::int64_t n_experts() const { return std::ssize(experts); }
  // All memory, or all but experts, of which `expert_slots` fit.
  Placement placement(std::int64_t expert_slots) const {
    HostNeeds needs;
    needs.limit_bytes = std::int64_t{1} << 40;
    Placement chosen = std::get<Placement>(place(graph, blocks, needs, {0, expert_slots}));
    chosen.expert_slots = expert_slots;
    return chosen;
  }
  RigOptions options(const Placement& placement) const {
    RigOptions options;
    options.placement = placement;
    options.token_rows = options.logits_rows = kRows;
    return options;
  }
  RigModel parts() const { return {model.tensors, model.spec, graph, blocks}; }

  // Logits of all ids: steps of kRows, then of one row.
  std::vector<float> play(Rig& rig, const Plan& plan) const {
    Sequence sequence(model.spec, 192);
    std::vector<float> logits;
    for (std::span<const std::int32_t> rest = ids; !rest.empty();) {
      const std::size_t n = rest.size() >= kRows ? kRows : 1;
      const std::vector<Span> spans = {sequence.span(rest.first(n), static_cast<std::int64_t>(n))};
      const std::vector<float> step = rig.play(plan, spans, model.spec.n_vocab, &plan);
      logits.insert(logits.end(), step.begin(), step.end());
      rest = rest.subspan(n);
    }
    return logits;
  }
  std::vector<float> play(const Placement& placement) const {
    Rig rig(parts(), options(placement));
    return play(rig, make_plan(graph, blocks, placement, true));
  }

  Model model;
  LayerGraph graph;
  BlockTable blocks;
  std::vector<Run> experts;
  std::vector<std::int32_t> ids;
};

TEST_CASE("experts give the same bits whatever their cache holds and the disk does") {
  std::mt19937_64 random(test_seed());
  const std::string name = GENERATE("mixtral", "qwen3moe", "deepseek2");
  const Mixture mixture(name, GENERATE(false, true));
  const std::vector<float> expected = mixture.play(mixture.placement(0));
  for (int round = 0; round < 6; ++round) {
    const Placement placement = mixture.placement(
        2 + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(mixture.n_experts())));
    RigOptions options = mixture.options(placement);
    options.overlap = round % 3 != 2;
    options.faults.seed = test_seed() + static_cast<std::uint64_t>(round);
    options.faults.max_latency = round;
    options.faults.reorder = round % 2 == 1;
    options.faults.short_read_rate = 0.1 * round;
    Rig rig(mixture.parts(), options);
    INFO(name << ", " << placement.expert_slots << " of " << mixture.n_experts());
    const Plan plan = make_plan(mixture.graph, mixture.blocks, placement, true);
    REQUIRE(mixture.play(rig, plan) == expected);
    const ExpertStats stats = rig.experts.stats();
    CHECK(stats.misses > 0);
    CHECK(stats.hits + stats.misses > mixture.n_experts());
  }
}

TEST_CASE("a step of one row reads the experts that it is routed to and no others") {
  const Mixture mixture("qwen3moe");
  Rig rig(mixture.parts(), mixture.options(mixture.placement(mixture.n_experts())));
  const Plan plan = make_plan(mixture.graph, mixture.blocks, mixture.placement(2), true);
  std::int64_t chosen = 0;  // matrices a step
  for (const GraphOp& op : mixture.graph.ops) {
    if (has_experts(op)) chosen += op.n_chosen;
  }
  REQUIRE(chosen < mixture.n_experts() / 2);
  Sequence sequence(mixture.model.spec, 192);
  const std::int64_t before = rig.tiers.disk_to_host().bytes;
  const std::vector<Span> spans = {sequence.span(std::span(mixture.ids).first(1), 1)};
  rig.play(plan, spans, mixture.model.spec.n_vocab);
  CHECK(rig.experts.stats().misses == chosen);
  std::int64_t expert_bytes = 0, n_present = 0;
  for (const Run& run : mixture.experts) {
    if (!rig.tiers.present(run.blocks.first)) continue;
    ++n_present;
    expert_bytes += run.aligned.size_bytes;
  }
  CHECK(n_present == chosen);
  const std::int64_t embedding = 2 * kDirectAlignment;  // a row of it, read singly
  CHECK(rig.tiers.disk_to_host().bytes - before >= expert_bytes);
  CHECK(rig.tiers.disk_to_host().bytes - before <= expert_bytes + embedding);
}

TEST_CASE("a read of an expert that fails ends the step, and the next one gives the right bits") {
  const Mixture mixture("mixtral");
  const std::vector<float> expected = mixture.play(mixture.placement(0));
  const Placement placement = mixture.placement(5);
  const Plan plan = make_plan(mixture.graph, mixture.blocks, placement, true);
  for (int later = 0; later < 40; later += 3) {
    Rig rig(mixture.parts(), mixture.options(placement));
    rig.io.plan.fail_read = static_cast<int>(rig.io.submitted.size()) + later;
    rig.io.plan.max_latency = later % 4;
    INFO("read " << later << " after the pinned ones fails");
    CHECK_THROWS_AS(mixture.play(rig, plan), Error);
    for (std::size_t i = 0; i < mixture.blocks.blocks().size(); ++i) {
      REQUIRE(rig.tiers.state(BlockId{static_cast<std::int32_t>(i)}) != BlockState::kLoading);
    }
    CHECK(mixture.play(rig, plan) == expected);
  }
}

TEST_CASE("a step that is interrupted leaves an expert cache that goes on") {
  const Mixture mixture("deepseek2");
  const std::vector<float> expected = mixture.play(mixture.placement(0));
  const Placement placement = mixture.placement(4);
  const Plan plan = make_plan(mixture.graph, mixture.blocks, placement, true);
  Rig rig(mixture.parts(), mixture.options(placement));
  // How often a step asks whether it is interrupted, when it is after so many times.
  const auto play_until = [&](int after) {
    Sequence sequence(mixture.model.spec, 192);
    const std::vector<Span> spans = {sequence.span(std::span(mixture.ids).first(8), 8)};
    int asked = 0;
    const StepInput step{spans, [](const StepLogits&) {}, [&] { return ++asked > after; }};
    if (after < INT_MAX) {
      CHECK_THROWS_AS(rig.executor.play(plan, step, &plan), Error);
    } else {
      rig.executor.play(plan, step, &plan);
    }
    return asked;
  };
  const int asked = play_until(INT_MAX);
  REQUIRE(asked > 50);
  for (int after = 5; after < asked; after += 11) play_until(after);
  CHECK(mixture.play(rig, plan) == expected);
}

}  // namespace
}  // namespace windlass

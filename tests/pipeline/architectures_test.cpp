// Every architecture under the executor: the same bits whether its weights stay or all of them
// stream in small blocks, whatever the step's cut, and a window that hides old keys.
#include <algorithm>
#include <vector>

#include "pipeline/expert_runs.h"
#include "pipeline/planner.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/rig.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

using namespace windlass::test;

constexpr std::int64_t kRows = 40;

// A golden model cut into blocks of 4 KiB, of which none stays, or all do.
struct Cut {
  Cut(const std::string& name, bool stream, Activations activations = Activations::kExact)
      : model(golden_model(name)),
        graph(build_layer_graph(model.spec, model.tensors, activations)),
        blocks(model.tensors, 4 * kKiB) {
    if (stream) {
      placement.ring_slots = 2;
      for (std::int32_t i = 0; i < static_cast<std::int32_t>(blocks.blocks().size()); ++i) {
        const Run run = make_run(blocks, {BlockId{i}, 1});
        placement.slot_bytes = std::max(placement.slot_bytes, run.aligned.size_bytes);
      }
      for (const Run& run : expert_runs(graph, blocks)) {
        placement.expert_slots = kMinExpertSlots;
        placement.expert_slot_bytes = std::max(placement.expert_slot_bytes, run.aligned.size_bytes);
      }
    } else {
      HostNeeds needs;
      needs.limit_bytes = std::int64_t{1} << 40;
      placement = std::get<Placement>(place(graph, blocks, needs, 0));
    }
    plan = make_plan(graph, blocks, placement, true);
  }

  // Logits of all ids but those past kRows a step, in steps of kRows and then one by one.
  std::vector<float> play(std::span<const std::int32_t> ids) const {
    RigOptions options;
    options.placement = placement;
    options.token_rows = options.logits_rows = kRows;
    Rig rig({model.tensors, model.spec, graph, blocks}, options);
    Sequence sequence(model.spec, 192);
    std::vector<float> logits;
    while (!ids.empty()) {
      const std::size_t n = ids.size() >= kRows ? kRows : 1;
      const std::vector<Span> spans = {sequence.span(ids.first(n), static_cast<std::int64_t>(n))};
      const std::vector<float> step = rig.play(plan, spans, model.spec.n_vocab, &plan);
      logits.insert(logits.end(), step.begin(), step.end());
      ids = ids.subspan(n);
    }
    return logits;
  }

  Model model;
  LayerGraph graph;
  BlockTable blocks;
  Placement placement;
  Plan plan;
};

const std::vector<std::string> kModels = {
    "llama", "qwen2",      "qwen3",      "gemma2",   "gemma3",  "phi3",     "falcon",
    "gpt2",  "falcon_new", "starcoder2", "stablelm", "mixtral", "qwen3moe", "deepseek2"};

TEST_CASE(
    "every architecture gives the same bits with all weights streamed as with all in memory") {
  for (const std::string& name : kModels) {
    const std::vector<std::int32_t> ids = golden_ids(name, 1);
    const auto some = std::span(ids).first(2 * kRows + 5);
    const Cut resident(name, false), streamed(name, true);
    INFO(name);
    REQUIRE(resident.plan.loads.empty());
    REQUIRE(streamed.plan.loads.size() > 50);
    CHECK(streamed.play(some) == resident.play(some));
  }
}

TEST_CASE("keys before the window have no influence, and those inside it do") {
  // Every layer of a one-period model is windowed: with 4 layers of 24 a token sees at most the 92
  // before it.
  Cut cut("gemma2", false);
  cut.model.spec.window_period = 0;
  cut.graph = build_layer_graph(cut.model.spec, cut.model.tensors, Activations::kExact);
  std::vector<std::int32_t> ids = golden_ids("gemma2", 1);
  ids.resize(2 * kRows + 30);
  const auto last = [&](const std::vector<float>& logits) {
    return std::vector<float>(logits.end() - cut.model.spec.n_vocab, logits.end());
  };
  const std::vector<float> expected = last(cut.play(ids));
  std::vector<std::int32_t> far = ids, near = ids;
  for (std::size_t i = 0; i < ids.size() - 93; ++i) far[i] = (ids[i] + 7) % 512;
  near[ids.size() - 20] = (ids[ids.size() - 20] + 7) % 512;
  CHECK(last(cut.play(far)) == expected);
  CHECK(last(cut.play(near)) != expected);
}

}  // namespace
}  // namespace windlass

// Whole models under the executor: many sequences in one step, and late reads.
#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "pipeline/planner.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/rig.h"
#include "tests/pipeline/small_gguf.h"
#include "tests/support/catch.h"
#include "tests/support/seed.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using namespace windlass::test;
using windlass::testing::TempDir;

// A random model of 2 MB whose products all stream through a ring of two slots, or all stay.
struct SmallBlocks {
  explicit SmallBlocks(bool stream)
      : model(open(folder.file("small.gguf"))),
        graph(build_layer_graph(model.spec, model.tensors, Activations::kExact)),
        blocks(model.tensors, 64 * kKiB) {
    HostNeeds needs;
    needs.limit_bytes = std::int64_t{1} << 40;
    if (stream) needs.limit_bytes = least_limit_bytes(graph, blocks, needs);
    placement = std::get<Placement>(place(graph, blocks, needs, stream ? kMinRingSlots : 0));
    plan = make_plan(graph, blocks, placement, true);
  }
  RigModel parts() const { return {model.tensors, model.spec, graph, blocks}; }
  RigOptions options() const {
    RigOptions result;
    result.placement = placement;
    result.token_rows = result.logits_rows = 64;
    return result;
  }
  std::vector<float> play(Rig& rig, std::vector<Span> spans) const {
    return rig.play(plan, spans, model.spec.n_vocab, &plan);
  }

  static Model open(const std::string& path) {
    write_small_llama(path, {DType::kF32, 2, 128, 384, 4, 2, 512});
    return open_model(path);
  }

  TempDir folder;
  Model model;
  LayerGraph graph;
  BlockTable blocks;
  Placement placement;
  Plan plan;
};

TEST_CASE("two sequences in one step get what each gets alone") {
  const SmallBlocks small(true);
  REQUIRE(!small.plan.loads.empty());
  const std::vector<std::int32_t> ids = golden_ids("llama", 0);
  const auto a = std::span(ids).subspan(0, 20), b = std::span(ids).subspan(20, 7);
  const std::int32_t next_a = 5, next_b = 6;
  Rig rig(small.parts(), small.options());
  Sequence together_a(small.model.spec, 64), together_b(small.model.spec, 64);
  std::vector<float> together = small.play(rig, {together_a.span(a, 20), together_b.span(b, 3)});
  // The longer one last: its rows must not take the positions of the rows before them.
  const std::vector<float> after = small.play(
      rig, {together_b.span(std::span(&next_b, 1), 1), together_a.span(std::span(&next_a, 1), 1)});
  together.insert(together.end(), after.begin(), after.end());

  Sequence alone_a(small.model.spec, 64), alone_b(small.model.spec, 64);
  std::vector<float> alone;
  const auto add = [&](const std::vector<float>& logits) {
    alone.insert(alone.end(), logits.begin(), logits.end());
  };
  add(small.play(rig, {alone_a.span(a, 20)}));
  add(small.play(rig, {alone_b.span(b, 3)}));
  add(small.play(rig, {alone_b.span(std::span(&next_b, 1), 1)}));
  add(small.play(rig, {alone_a.span(std::span(&next_a, 1), 1)}));
  const Deviation apart = deviation(together, alone);
  CHECK(apart.max <= 2e-4);
  CHECK(apart.mean <= 2e-5);
}

// Contexts of so many tokens, each continued by one token; the last logits of all.
std::vector<float> continue_all(const SmallBlocks& small, const std::vector<std::size_t>& contexts,
                                bool together) {
  constexpr std::size_t kStepTokens = 64;
  std::vector<std::int32_t> ids(1000);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i * 7 % 500);
  Rig rig(small.parts(), small.options());
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::vector<Span> last;
  for (std::size_t s = 0; s < contexts.size(); ++s) {
    sequences.push_back(std::make_unique<Sequence>(small.model.spec, 1000));
    const auto text = std::span(ids).subspan(s);
    for (std::size_t at = 0; at < contexts[s]; at += kStepTokens) {
      const std::size_t n = std::min(kStepTokens, contexts[s] - at);
      small.play(rig, {sequences[s]->span(text.subspan(at, n), 1)});
    }
    last.push_back(sequences[s]->span(text.subspan(contexts[s], 1), 1));
  }
  if (together) return small.play(rig, last);
  std::vector<float> all;
  for (const Span& span : last) {
    const std::vector<float> logits = small.play(rig, {span});
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

TEST_CASE("sequences whose attention runs in one region get what each gets alone") {
  const SmallBlocks small(false);
  SECTION("more of them than a region takes") {
    std::vector<std::size_t> contexts(2 * Team::kMostJobs + 3);
    for (std::size_t s = 0; s < contexts.size(); ++s) contexts[s] = 1 + s % 5;
    const Deviation apart =
        deviation(continue_all(small, contexts, true), continue_all(small, contexts, false));
    CHECK(apart.max <= 2e-4);
  }
  SECTION("few, whose contexts are split, with room for the partials of two") {
    const std::vector<std::size_t> contexts = {600, 5, 700, 900};
    const Deviation apart =
        deviation(continue_all(small, contexts, true), continue_all(small, contexts, false));
    CHECK(apart.max <= 2e-4);
  }
}

TEST_CASE("a whole model gives the same bits however its reads arrive") {
  const std::vector<std::int32_t> ids = golden_ids("llama", 0);
  const SmallBlocks resident(false), streamed(true);
  Rig calm(resident.parts(), resident.options());
  Sequence sequence(resident.model.spec, 64);
  const std::vector<float> expected = resident.play(calm, {sequence.span(ids, std::ssize(ids))});
  for (int round = 0; round < 6; ++round) {
    RigOptions options = streamed.options();
    options.faults = {.seed = test_seed() + static_cast<std::uint64_t>(round),
                      .capacity = 1 + round,
                      .max_latency = 5 * round,
                      .reorder = true,
                      .short_read_rate = 0.2,
                      .again_rate = 0.1};
    options.overlap = round % 2 == 0;
    options.threads = 1 + round % 3;
    Rig rig(streamed.parts(), options);
    Sequence other(streamed.model.spec, 64);
    INFO("round " << round);
    CHECK(streamed.play(rig, {other.span(ids, std::ssize(ids))}) == expected);
  }
}

}  // namespace
}  // namespace windlass

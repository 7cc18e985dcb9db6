// Weights that are held where a prompt's activations were, for steps of one row: read once, used in
// each such step, gone before the next prompt, and no bit changed by it.
#include <algorithm>

#include "pipeline/session_plan.h"
#include "src/base/units.h"
#include "tests/pipeline/fake_model.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/streamed_model.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

using namespace windlass::test;

std::vector<std::int32_t> loaded_blocks(const Plan& plan) {
  std::vector<std::int32_t> ids;
  for (const LoadEntry& load : plan.loads) {
    for (std::int32_t i = 0; i < load.run.blocks.count; ++i) {
      ids.push_back(index_of(load.run.blocks.first) + i);
    }
  }
  return ids;
}

std::int64_t loaded_bytes(const Plan& plan) {
  std::int64_t bytes = 0;
  for (const LoadEntry& load : plan.loads) bytes += load.run.aligned.size_bytes;
  return bytes;
}

// Six products of one block of 63 rows each: 0 and 3 are pinned, 1 and 4 in steps of one row.
TEST_CASE("a plan of one row streams what neither pinned set holds, by hand") {
  const FakeModel model = uniform_model(6, 63);
  const BlockTable blocks = model.blocks();
  REQUIRE(blocks.blocks().size() == 6);
  const auto placed = [&](std::int32_t id, std::int64_t offset) {
    return PlacedRun{make_run(blocks, {BlockId{id}, 1}), offset};
  };
  const std::int64_t run_bytes = placed(0, 0).run.aligned.size_bytes;
  Placement placement;
  placement.pinned = {placed(0, 0), placed(3, run_bytes)};
  placement.decode_pinned = {placed(1, 8192), placed(4, 8192 + run_bytes)};
  placement.ring_slots = 2;
  placement.slot_bytes = run_bytes;

  const Plan many = make_plan(model.graph, blocks, placement, true, false);
  const Plan one = make_plan(model.graph, blocks, placement, true, true);
  CHECK(loaded_blocks(many) == std::vector<std::int32_t>{1, 2, 4, 5});
  CHECK(loaded_blocks(one) == std::vector<std::int32_t>{2, 5});
  CHECK(loaded_bytes(one) * 2 == loaded_bytes(many));
  REQUIRE(many.compute.size() == 6);
  REQUIRE(one.compute.size() == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(index_of(one.compute[i].blocks.first) == static_cast<std::int32_t>(i));
    CHECK(one.compute[i].n_rows == 63);
  }
  CHECK(one.loads[0].first_use == 2);
  CHECK(one.loads[1].last_use == 5);

  // A disk of 63 * 4 KiB a millisecond, products that cost nothing: a step takes what it reads.
  const Profile profile = fake_profile(63 * 4096 * 1000.0, 1e15);
  const CostModel costs = model.costs(profile);
  const auto step_s = [&](const Plan& plan) {
    return simulate(plan, costs, {}, {2, true, true}).step_s;
  };
  CHECK(step_s(many) == Approx(0.004).epsilon(0.05));
  CHECK(step_s(one) == Approx(0.002).epsilon(0.05));
}

struct Streaming {
  Streaming() {
    options.micro_batch_tokens = 100;
    options.isa = best_isa();
    options.ram_bytes = least_ram(streamed.model, options) + kMiB;
  }
  SessionPlan plan() const {
    return make_session_plan(streamed.model, options, test_profile(), *options.ram_bytes);
  }
  StreamedModel streamed;
  EngineOptions options = exact_options(256);
};

TEST_CASE("what is held for steps of one row lies past their activations, and streams in others") {
  const Streaming s;
  const SessionPlan plan = s.plan();
  REQUIRE_FALSE(plan.placement().decode_pinned.empty());
  std::int64_t end = plan.decode_layout.size_bytes, held = 0;
  for (const PlacedRun& placed : plan.placement().decode_pinned) {
    CHECK(placed.arena_offset_bytes >= end);
    CHECK(placed.arena_offset_bytes % kDirectAlignment == 0);
    end = placed.arena_offset_bytes + placed.run.aligned.size_bytes;
    for (std::int32_t i = 0; i < placed.run.blocks.count; ++i) {
      const std::int32_t id = index_of(placed.run.blocks.first) + i;
      const auto in_decode = loaded_blocks(plan.decode), in_prompt = loaded_blocks(plan.with_head);
      CHECK(std::count(in_decode.begin(), in_decode.end(), id) == 0);
      CHECK(std::count(in_prompt.begin(), in_prompt.end(), id) == 1);
      held += plan.blocks.at(BlockId{id}).extent.size_bytes;
    }
  }
  CHECK(end <= plan.placement().activation_bytes);
  CHECK(loaded_bytes(plan.decode) <= loaded_bytes(plan.with_head) - held);
}

// Prompt, tokens one by one, a prompt again, tokens again: all logits of the last rows.
std::vector<float> alternate(Engine& engine, const StreamedModel& streamed) {
  std::vector<float> logits;
  const auto feed = [&](std::span<const std::int32_t> ids) {
    const auto last = engine.feed_for_last(ids, {});
    logits.insert(logits.end(), last.begin(), last.end());
  };
  for (int round = 0; round < 2; ++round) {
    feed(streamed.ids);
    for (std::int32_t id = 0; id < 5; ++id) feed(std::span(&id, 1));
  }
  feed(std::span(streamed.ids).first(7));
  return logits;
}

TEST_CASE("prompts and single tokens in turn give the bits of a run with all weights in memory") {
  Streaming s;
  REQUIRE_FALSE(s.plan().placement().decode_pinned.empty());
  Engine streaming(s.streamed.model, s.options, test_profile());
  const std::vector<float> got = alternate(streaming, s.streamed);
  s.options.ram_bytes = kGiB;
  REQUIRE(s.plan().placement().decode_pinned.empty());
  Engine whole(s.streamed.model, s.options, test_profile());
  CHECK(got == alternate(whole, s.streamed));
}

TEST_CASE("a step of one row reads no more than its plan, which is less than a prompt's") {
  const Streaming s;
  const SessionPlan plan = s.plan();
  Engine engine(s.streamed.model, s.options, test_profile());
  engine.feed_for_last(s.streamed.ids, {});
  constexpr std::int64_t kSteps = 40;
  for (std::int32_t id = 0; id < kSteps; ++id) engine.feed_for_last(std::span(&id, 1), {});
  std::int64_t held = 0;
  for (const PlacedRun& placed : plan.placement().decode_pinned)
    held += placed.run.aligned.size_bytes;
  // What a phase reads ahead for the next, and pages that two pieces of a run share.
  const std::int64_t slack =
      plan.placement().ring_slots * plan.placement().slot_bytes + 16 * kDirectAlignment;
  const std::int64_t rows = kSteps * 2 * kDirectAlignment;  // of the embedding
  const std::int64_t read = engine.receipt().decode.disk_to_host.bytes;
  CHECK(read <= held + kSteps * loaded_bytes(plan.decode) + rows + slack);
  CHECK(read >= held + kSteps * loaded_bytes(plan.decode) - slack);
  CHECK(read < kSteps * loaded_bytes(plan.with_head) - slack);
}

}  // namespace
}  // namespace windlass

// Hand-written plans on real files: every order of blocks, late and shuffled reads, and reads that
// fail.
#include "pipeline/executor.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <random>

#include "src/base/error.h"
#include "src/format/gguf.h"
#include "tests/pipeline/rig.h"
#include "tests/pipeline/small_gguf.h"
#include "tests/support/catch.h"
#include "tests/support/seed.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using namespace windlass::test;
using windlass::testing::TempDir;

constexpr std::int64_t kWidth = 64, kVocab = 512, kSlotBytes = 28 * kKiB;
constexpr std::int32_t kEmbed = 0, kNorm = 1, kProduct = 2, kEmit = 3;

// logits = weight * rms_norm(embedding row): three tensors, four ops; the weight is cut into 16
// blocks of 8 KiB.
struct HandModel {
  HandModel() : path(folder.file("hand.gguf")) {
    write_random_gguf(path, {{"embedding", DType::kF32, {16, kWidth}},
                             {"norm", DType::kF32, {kWidth}},
                             {"weight", DType::kF32, {kVocab, kWidth}}});
    tensors = read_gguf(path);
    const auto hidden = add_buffer("hidden", kWidth, false),
               normed = add_buffer("normed", kWidth, false);
    const auto logits = add_buffer("logits", kVocab, true);
    add_op(OpKind::kEmbedRows, "embedding", kNoBuffer, hidden);
    add_op(OpKind::kRmsNorm, "norm", hidden, normed);
    add_op(OpKind::kMatMul, "weight", normed, logits);
    add_op(OpKind::kEmitLogits, "", logits, kNoBuffer);
    spec.norm_epsilon = 1e-5F;
  }
  BufferId add_buffer(const char* name, std::int64_t width, bool tiled) {
    graph.buffers.push_back({name, BufferKind::kF32, width, RowSet::kTokens, tiled});
    return BufferId{static_cast<std::int32_t>(graph.buffers.size()) - 1};
  }
  void add_op(OpKind kind, const char* weight, BufferId in, BufferId out) {
    GraphOp op;
    op.kind = kind;
    op.weight = tensors.find(weight);
    op.in.buffer = in;
    op.out.buffer = out;
    graph.ops.push_back(op);
  }
  std::vector<float> floats(const char* name) const {
    const Extent extent = tensors.at(tensors.find(name)).extent;
    std::vector<float> values(static_cast<std::size_t>(extent.size_bytes) / sizeof(float));
    std::ifstream file(path, std::ios::binary);
    file.seekg(extent.offset_bytes);
    file.read(reinterpret_cast<char*>(values.data()), extent.size_bytes);
    REQUIRE(file.good());
    return values;
  }
  RigModel parts(const BlockTable& blocks) const { return {tensors, spec, graph, blocks}; }

  TempDir folder;
  std::string path;
  TensorTable tensors;
  ModelSpec spec;
  LayerGraph graph;
};

std::vector<double> reference(const HandModel& model, const std::vector<std::int32_t>& ids) {
  const std::vector<float> embedding = model.floats("embedding"), norm = model.floats("norm"),
                           weight = model.floats("weight");
  std::vector<double> logits;
  for (const std::int32_t id : ids) {
    const float* row = embedding.data() + id * kWidth;
    double squares = 0;
    for (int i = 0; i < kWidth; ++i) squares += static_cast<double>(row[i]) * row[i];
    const double scale = 1 / std::sqrt(squares / static_cast<double>(kWidth) + 1e-5);
    for (std::int64_t r = 0; r < kVocab; ++r) {
      double dot = 0;
      for (int i = 0; i < kWidth; ++i) {
        dot += static_cast<double>(weight[static_cast<std::size_t>(r * kWidth + i)]) * row[i] *
               scale * norm[static_cast<std::size_t>(i)];
      }
      logits.push_back(dot);
    }
  }
  return logits;
}

// Stretches of the weight's blocks, each streamed by a load of its own, in this order.
Plan plan_of(const HandModel& model, const BlockTable& blocks,
             const std::vector<BlockRange>& stretches) {
  Plan plan;
  const auto add_load = [&](const BlockRange& range) {
    const auto entry = static_cast<std::int32_t>(plan.compute.size());
    plan.loads.push_back({make_run(blocks, range), entry, entry});
  };
  plan.compute.push_back({kEmbed, {}, 0, 0});
  const BlockRange norm = blocks.of_tensor(model.tensors.find("norm"));
  add_load(norm);
  plan.compute.push_back({kNorm, norm, 0, 1});
  for (const BlockRange& stretch : stretches) {
    std::int64_t rows = 0;
    for (std::int32_t i = 0; i < stretch.count; ++i) {
      rows += blocks.at(BlockId{index_of(stretch.first) + i}).n_rows;
    }
    add_load(stretch);
    const std::int64_t first_row = blocks.at(stretch.first).first_row;
    plan.compute.push_back({kProduct, stretch, first_row, rows});
    plan.compute.push_back({kEmit, {}, first_row, rows});
  }
  return plan;
}

// The weight's blocks in stretches of 1 to 3, in random order.
std::vector<BlockRange> random_stretches(const HandModel& model, const BlockTable& blocks,
                                         std::mt19937_64& random) {
  const BlockRange all = blocks.of_tensor(model.tensors.find("weight"));
  REQUIRE(all.count == 16);
  std::vector<BlockRange> stretches;
  for (std::int32_t i = 0; i < all.count;) {
    const auto n =
        std::min(std::uniform_int_distribution<std::int32_t>(1, 3)(random), all.count - i);
    stretches.push_back({BlockId{index_of(all.first) + i}, n});
    i += n;
  }
  std::shuffle(stretches.begin(), stretches.end(), random);
  return stretches;
}

RigOptions options_with(const FaultPlan& faults, std::int64_t slots = 2, bool overlap = true) {
  RigOptions options;
  options.placement.ring_slots = slots;
  options.placement.slot_bytes = kSlotBytes;
  options.faults = faults;
  options.overlap = overlap;
  return options;
}

const std::vector<std::int32_t> kIds = {3, 0, 15, 3, 7};

std::vector<float> play_once(Rig& rig, const Plan& plan, const Plan* next = nullptr) {
  const Span span{nullptr, kIds, 0, std::ssize(kIds)};
  return rig.play(plan, std::span(&span, 1), kVocab, next);
}

TEST_CASE("a hand-written plan gives the reference's logits in every order of its blocks") {
  const HandModel model;
  const BlockTable blocks(model.tensors, 8 * kKiB);
  const std::vector<double> expected = reference(model, kIds);
  std::mt19937_64 random(test_seed());
  std::vector<float> first;
  for (int round = 0; round < 10; ++round) {
    Rig rig(model.parts(blocks), options_with({}, 1 + round % 3, round % 2 == 0));
    const Plan plan = plan_of(model, blocks, random_stretches(model, blocks, random));
    const std::vector<float> logits = play_once(rig, plan);
    REQUIRE(logits.size() == expected.size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
      REQUIRE(static_cast<double>(logits[i]) == Approx(expected[i]).margin(1e-5));
    }
    if (first.empty()) first = logits;
    CHECK(logits == first);
  }
}

TEST_CASE("late, shuffled, short and interrupted reads change no bit") {
  const HandModel model;
  const BlockTable blocks(model.tensors, 8 * kKiB);
  std::mt19937_64 random(test_seed());
  std::vector<float> expected;
  for (int round = 0; round < 30; ++round) {
    FaultPlan faults;
    faults.seed = test_seed() + static_cast<std::uint64_t>(round);
    if (round > 0) {
      faults.max_latency = round % 7;
      faults.reorder = round % 2 == 1;
      faults.short_read_rate = 0.3;
      faults.again_rate = 0.2;
      faults.capacity = 2 + round % 7;
    }
    Rig rig(model.parts(blocks), options_with(faults, 1 + round % 4, round % 3 != 0));
    const Plan plan = plan_of(model, blocks, random_stretches(model, blocks, random));
    for (int step = 0; step < 3; ++step) {  // the later ones begin with what was read ahead
      INFO("round " << round << ", step " << step);
      const std::vector<float> logits = play_once(rig, plan, &plan);
      if (expected.empty()) expected = logits;
      REQUIRE(logits == expected);
    }
  }
}

TEST_CASE("a read that fails ends the step with an error, and the next step works") {
  const HandModel model;
  const BlockTable blocks(model.tensors, 8 * kKiB);
  std::mt19937_64 random(test_seed());
  const Plan plan = plan_of(model, blocks, random_stretches(model, blocks, random));
  Rig good(model.parts(blocks), options_with({}));
  const std::vector<float> expected = play_once(good, plan);
  const auto n_reads = static_cast<int>(good.io.submitted.size());
  REQUIRE(n_reads > 8);
  const bool overlap = GENERATE(true, false);
  for (int failing = 0; failing < n_reads; ++failing) {
    FaultPlan faults;
    faults.seed = test_seed();
    faults.max_latency = failing % 4;
    faults.reorder = true;
    faults.fail_read = failing;
    Rig rig(model.parts(blocks), options_with(faults, 3, overlap));
    INFO("read " << failing << " fails");
    ErrorCode code = ErrorCode::kUsage;
    try {
      play_once(rig, plan);
    } catch (const Error& error) {
      code = error.code();
      CHECK_THAT(error.what(), Contains("hand.gguf"));
    }
    CHECK(code == ErrorCode::kIo);
    CHECK(rig.ring.loads_ahead() == 0);
    for (std::size_t i = 0; i < blocks.blocks().size(); ++i) {
      CHECK(rig.tiers.state(BlockId{static_cast<std::int32_t>(i)}) == BlockState::kAbsent);
    }
    CHECK(play_once(rig, plan) == expected);
  }
}

TEST_CASE("an executor with reads in flight can be destroyed after a failure") {
  const HandModel model;
  const BlockTable blocks(model.tensors, 8 * kKiB);
  std::mt19937_64 random(test_seed());
  const Plan plan = plan_of(model, blocks, random_stretches(model, blocks, random));
  FaultPlan faults;
  faults.hold = true;  // nothing completes but for a wait
  faults.fail_read = 3;
  Rig rig(model.parts(blocks), options_with(faults, 4));
  CHECK_THROWS_AS(play_once(rig, plan, &plan), Error);
}

TEST_CASE("an error of the sink ends the step and leaves the ring empty") {
  const HandModel model;
  const BlockTable blocks(model.tensors, 8 * kKiB);
  std::mt19937_64 random(test_seed());
  const Plan plan = plan_of(model, blocks, random_stretches(model, blocks, random));
  Rig rig(model.parts(blocks), options_with({}, 3));
  const Span span{nullptr, kIds, 0, std::ssize(kIds)};
  const StepInput step{std::span(&span, 1), [](const StepLogits&) { throw std::string("enough"); }};
  CHECK_THROWS_AS(rig.executor.play(plan, step, &plan), std::string);
  CHECK(rig.ring.loads_ahead() == 0);
  CHECK(play_once(rig, plan).size() == kIds.size() * kVocab);
}

TEST_CASE("with overlap reads are in flight while ops run, without it never") {
  const HandModel model;
  const BlockTable blocks(model.tensors, 8 * kKiB);
  std::mt19937_64 random(test_seed());
  const Plan plan = plan_of(model, blocks, random_stretches(model, blocks, random));
  for (const bool overlap : {true, false}) {
    FaultPlan faults;
    faults.hold = true;
    Rig rig(model.parts(blocks), options_with(faults, 2, overlap));
    int in_flight = 0;
    const Span span{nullptr, kIds, 0, std::ssize(kIds)};
    const StepInput step{std::span(&span, 1), [&](const StepLogits&) {
                           in_flight = std::max(in_flight, rig.io.in_flight());
                         }};
    rig.executor.play(plan, step, nullptr);
    // The emit of a stretch runs when its slot was given on: a reader that asks late has none.
    CHECK((in_flight > 0) == overlap);
  }
}

}  // namespace
}  // namespace windlass

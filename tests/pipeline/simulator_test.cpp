// The virtual clock on hand-made plans whose times are known.
#include "pipeline/simulator.h"

#include "tests/pipeline/fake_model.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

using namespace windlass::test;

constexpr std::int64_t kRows = 63;                                   // of one weight
constexpr std::int64_t kWeightBytes = kRows * FakeModel::kRowBytes;  // 252 KiB
constexpr int kStages = 64;

// Products whose weights are all streamed, one load for each.
struct Line {
  Line() : model(uniform_model(kStages, kRows)), blocks(model.blocks()) {
    for (std::int32_t i = 0; i < kStages; ++i) {
      plan.compute.push_back({i, {BlockId{i}, 1}, 0, kRows});
      plan.loads.push_back({make_run(blocks, {BlockId{i}, 1}), i, i});
    }
    read_bytes = plan.loads.front().run.aligned.size_bytes;
    for (const LoadEntry& load : plan.loads) REQUIRE(load.run.aligned.size_bytes == read_bytes);
  }
  // Each read takes read_s, each product compute_s.
  Prediction play(double read_s, double compute_s, double latency_s, std::int64_t slots,
                  bool overlap = true) const {
    const Profile profile = fake_profile(static_cast<double>(read_bytes) / read_s,
                                         static_cast<double>(kWeightBytes) / compute_s, latency_s);
    return simulate(plan, model.costs(profile), StepLoad{}, {slots, overlap, false});
  }

  FakeModel model;
  BlockTable blocks;
  Plan plan;
  std::int64_t read_bytes = 0;
};

constexpr double kUnit = 1e-3;

TEST_CASE("balanced stages take as long as the longer resource and the fill") {
  const Line line;
  const double read_s = GENERATE(0.8 * kUnit, kUnit, 1.25 * kUnit);
  const std::int64_t slots = GENERATE(2, 4, 8);
  const double latency_s = 0.05 * kUnit;
  const Prediction prediction = line.play(read_s, kUnit, latency_s, slots);
  const double longest = kStages * std::max(read_s, kUnit);
  INFO("read " << read_s << ", slots " << slots);
  CHECK(prediction.step_s >= longest * (1 - 1e-9));
  if (slots > 2) CHECK(prediction.step_s <= 1.05 * longest + read_s + latency_s);
  // With two slots a read waits for the product before last, so its latency shows.
  CHECK(prediction.step_s <= 1.05 * longest + kStages * latency_s + read_s);
  CHECK(prediction.disk_busy_s == Approx(kStages * read_s));
  CHECK(prediction.cpu_busy_s == Approx(kStages * kUnit));
}

TEST_CASE("without overlap a step takes the sum of its parts") {
  const Line line;
  for (const std::int64_t slots : {1, 2, 8}) {
    const Prediction prediction = line.play(2 * kUnit, kUnit, 0.25 * kUnit, slots, false);
    CHECK(prediction.step_s == Approx(kStages * 3.25 * kUnit));
  }
}

TEST_CASE("a ring of one slot makes reads and products take turns") {
  const Line line;
  const Prediction prediction = line.play(2 * kUnit, kUnit, 0.25 * kUnit, 1);
  CHECK(prediction.step_s == Approx(kStages * 3.25 * kUnit));
}

TEST_CASE("a step bound by the disk takes the disk's time") {
  const Line line;
  const Prediction prediction = line.play(kUnit, kUnit / 4, 0.1 * kUnit, 4);
  CHECK(prediction.step_s == Approx(kStages * kUnit).epsilon(0.01));
}

TEST_CASE("a step bound by the CPU takes the CPU's time") {
  const Line line;
  const Prediction prediction = line.play(kUnit / 4, kUnit, 0.1 * kUnit, 4);
  CHECK(prediction.step_s == Approx(kStages * kUnit).epsilon(0.01));
}

TEST_CASE("pinned work hides the reads of what follows, as far as the slots reach") {
  // Half of the products are pinned, in one stretch at the end: with many slots their time covers
  // reads of the next step; with two it cannot.
  Line line;
  line.plan.loads.resize(kStages / 2);
  const double few = line.play(2 * kUnit, kUnit, 0, 2).step_s;
  const double many = line.play(2 * kUnit, kUnit, 0, kStages / 2).step_s;
  CHECK(many == Approx(kStages * kUnit).epsilon(0.02));
  CHECK(few > 1.3 * many);
}

TEST_CASE("more slots never make a step slower") {
  const Line line;
  double before = 1;
  for (const std::int64_t slots : {1, 2, 3, 4, 8, 16, 64}) {
    const double now = line.play(kUnit, kUnit, 0.3 * kUnit, slots).step_s;
    CHECK(now <= before * (1 + 1e-9));
    before = now;
  }
}

TEST_CASE("a prediction counts the bytes of its reads, rounding included") {
  const Line line;
  const Prediction prediction = line.play(kUnit, kUnit, 0, 4);
  CHECK(prediction.disk_bytes == kStages * line.read_bytes);
  CHECK(line.read_bytes > kWeightBytes);
}

TEST_CASE("rows fetched singly cost reads unless they are resident") {
  FakeModel model;
  model.add_embedding(model.add_tensor(50));
  const Plan plan{{{0, {}, 0, 0}}, {}};
  const Profile profile = fake_profile(1e6, 1e9);
  const CostModel costs = model.costs(profile);
  const StepLoad load{3, 1, 0};
  // A row of 4 KiB that starts anywhere lies in two pages.
  const Prediction away = simulate(plan, costs, load, {0, true, false});
  CHECK(away.disk_bytes == 3 * 8192);
  CHECK(away.step_s == Approx(3 * 8192 / 1e6));
  const Prediction resident = simulate(plan, costs, load, {0, true, true});
  CHECK(resident.disk_bytes == 0);
  CHECK(resident.step_s == 0);
}

}  // namespace
}  // namespace windlass

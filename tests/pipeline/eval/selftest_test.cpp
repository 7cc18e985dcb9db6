// The selftest on a model that streams: it passes, and finds bugs that are planted under it.
#include "pipeline/eval/selftest.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "src/base/error.h"
#include "src/base/units.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/streamed_model.h"
#include "tests/support/catch.h"
#include "tests/support/fault_io_engine.h"

namespace windlass {
namespace {

using namespace windlass::test;

SelftestInput input_of(const Model& model, std::vector<std::int32_t> prompt) {
  SelftestInput input;
  input.prompt = std::move(prompt);
  input.base.threads = 2;
  input.base.table_bytes = selftest_bytes(model, std::ssize(input.prompt));
  input.isas = {best_isa()};
  return input;
}

SelftestInput streamed_input(const StreamedModel& streamed) {
  return input_of(streamed.model, {streamed.ids.begin(), streamed.ids.begin() + 40});
}

const SelftestRow& row_named(const SelftestReport& report, const std::string& name) {
  const auto row = std::find_if(report.rows.begin(), report.rows.end(),
                                [&](const SelftestRow& r) { return r.tested.name == name; });
  REQUIRE(row != report.rows.end());
  return *row;
}

TEST_CASE("a selftest covers a dozen placements and every instruction set, and passes") {
  const StreamedModel streamed;
  SelftestInput input = streamed_input(streamed);
  for (const Isa isa : kAllIsas) {
    if (isa != best_isa()) input.isas.push_back(isa);
  }
  std::size_t n_told = 0;
  const SelftestReport report = run_selftest(streamed.model, input, test_profile(),
                                             {.on_case = [&](const SelftestRow&) { ++n_told; }});
  INFO(to_json(report).dump(1));
  CHECK(report.passed());
  CHECK(n_told == report.rows.size());
  std::set<std::int64_t> budgets, rings;
  std::set<std::string> isas;
  int exact = 0;
  for (const SelftestRow& row : report.rows) {
    if (row.result != CaseResult::kSame) {
      CHECK(row.result == CaseResult::kSkipped);
      CHECK_FALSE(row.reason.empty());
      continue;
    }
    CHECK(row.peak_bytes <= row.budget_bytes);
    if (row.tested.expectation == Expectation::kSameBits) {
      ++exact;
      CHECK(row.max_abs == 0);
      budgets.insert(row.budget_bytes);
      rings.insert(row.ring_slots);
    }
    isas.insert(isa_name(row.tested.options.isa));
  }
  CHECK(exact >= 12);
  CHECK(budgets.size() >= 5);
  CHECK(rings.size() >= 3);  // none, 2, 3: this model is too small for more
  for (const Isa isa : kAllIsas) {
    if (isa_present(isa)) CHECK(isas.count(isa_name(isa)) == 1);
  }
  CHECK(row_named(report, "reads by threads").io_engine == "threads");
  CHECK(row_named(report, "the least --ram").read_bytes >
        2 * row_named(report, "all, or all there is").read_bytes);
}

// Plants `faults` under the engine of the n-th case that runs; the others read faultlessly.
SelftestReport run_with(const FaultPlan& faults, int victim) {
  const StreamedModel streamed;
  SelftestInput input = streamed_input(streamed);
  int n_engines = 0;
  input.base.make_io = [&](int capacity, std::string*) -> std::unique_ptr<IoEngine> {
    FaultPlan plan;
    if (n_engines++ == victim) plan = faults;
    plan.capacity = capacity;
    return std::make_unique<FaultIoEngine>(plan);
  };
  return run_selftest(streamed.model, input, test_profile(), {});
}

void check_found(const SelftestReport& report, const std::string& name) {
  INFO(to_json(report).dump(1));
  CHECK_FALSE(report.passed());
  CHECK(report.count(CaseResult::kDiffers) == 1);
  const SelftestRow& row = row_named(report, name);
  CHECK(row.result == CaseResult::kDiffers);
  REQUIRE(row.difference);
  CHECK(row.difference->position >= 24);
  CHECK(row.difference->position < 40);
  CHECK(row.difference->expected != row.difference->got);
  CHECK_FALSE(row.phase.empty());
  CHECK_FALSE(row.max_abs <= 0);  // also where it is no number
  const auto json = to_json(report);
  CHECK(json["passed"] == false);
  CHECK(json["n_differ"] == 1);
  CHECK_THAT(format_row(row), Contains("differs: " + row.phase + ", position " +
                                       std::to_string(row.difference->position)));
}

// The second engine is that of the least --ram: it reads the whole model again for each step, two
// blocks at a time. (A read ahead for a step that then does not come would be no loss.)
TEST_CASE("a slot that keeps the bytes of the block before is found") {
  const int read = GENERATE(3, 20, 90);
  check_found(run_with({.stale_read = read}, 1), "the least --ram");
}

TEST_CASE("bytes of another block in a block's place are found") {
  const int read = GENERATE(7, 55);
  check_found(run_with({.wrong_read = read}, 3), "half of the way");
}

TEST_CASE("a wrong block in the reference is found too: it does not repeat itself, or all differ") {
  const SelftestReport report = run_with({.wrong_read = 7}, 0);
  CHECK_FALSE(report.passed());
}

TEST_CASE("a case that cannot read fails by name, and the others go on") {
  const SelftestReport report = run_with({.fail_read = 20}, 2);
  CHECK_FALSE(report.passed());
  CHECK(report.count(CaseResult::kFailed) == 1);
  const SelftestRow& row = row_named(report, "a quarter of the way");
  CHECK(row.result == CaseResult::kFailed);
  CHECK_THAT(row.reason, Contains("streamed.gguf"));
  CHECK(report.rows.size() > 12);
  CHECK(report.count(CaseResult::kDiffers) == 0);
}

TEST_CASE("a model that fits whole is tested without its streaming cases, which say why") {
  const std::string name = GENERATE("llama", "qwen2", "gpt2");
  const Model model = golden_model(name);
  const auto prompt = golden_ids(name, 0);
  const SelftestReport report = run_selftest(model, input_of(model, prompt), test_profile(), {});
  INFO(to_json(report).dump(1));
  CHECK(report.passed());
  CHECK(report.count(CaseResult::kSame) >= 7);
  for (const SelftestRow& row : report.rows) {
    if (row.result == CaseResult::kSkipped) CHECK_FALSE(row.reason.empty());
  }
}

TEST_CASE("a budget is a ceiling for every case, and one too small is refused with the least") {
  const StreamedModel streamed;
  SelftestInput input = streamed_input(streamed);
  input.base.ram_bytes = 8 * kMiB;
  const SelftestReport report = run_selftest(streamed.model, input, test_profile(), {});
  CHECK(report.passed());
  for (const SelftestRow& row : report.rows) {
    INFO(row.tested.name);
    CHECK(row.budget_bytes <= 8 * kMiB);
    CHECK(row.peak_bytes <= 8 * kMiB);
  }
  input.base.ram_bytes = kMiB;
  CHECK_THROWS_AS(run_selftest(streamed.model, input, test_profile(), {}), Error);
}

}  // namespace
}  // namespace windlass

// What `plan` says is what the engine would do.
#include "pipeline/plan_report.h"

#include <nlohmann/json.hpp>

#include "pipeline/session_plan.h"
#include "src/base/error.h"
#include "src/base/units.h"
#include "tests/pipeline/golden_model.h"
#include "tests/pipeline/streamed_model.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

using namespace windlass::test;

struct Report {
  explicit Report(std::int64_t more_than_least) {
    options.micro_batch_tokens = 64;
    options.ram_bytes = least_ram(streamed.model, options) + more_than_least;
    report = make_plan_report(streamed.model, options, test_profile(), kDepth);
  }
  static constexpr std::int64_t kDepth = 50;
  StreamedModel streamed;
  EngineOptions options = exact_options(128);
  PlanReport report;
};

TEST_CASE("a plan report's sizes are those of the plan, and fit the budget") {
  const Report r(kMiB);
  const SessionPlan plan =
      make_session_plan(r.streamed.model, r.options, test_profile(), *r.options.ram_bytes);
  const Placement& placement = plan.placement();
  const PlanReport& report = r.report;
  CHECK(report.pinned_bytes == placement.pinned_bytes);
  CHECK(report.ring_slots == placement.ring_slots);
  CHECK(report.ring_bytes == placement.ring_slots * placement.slot_bytes);
  CHECK(report.kv_bytes == placement.kv_bytes);
  std::int64_t streamed = 0, decode_pinned = 0;
  for (const LoadEntry& load : plan.decode.loads) streamed += load.run.aligned.size_bytes;
  for (const PlacedRun& placed : placement.decode_pinned)
    decode_pinned += placed.run.aligned.size_bytes;
  CHECK(report.streamed_bytes == streamed);
  CHECK(report.decode_pinned_bytes == decode_pinned);
  CHECK(streamed > 0);
  CHECK(decode_pinned > 0);
  CHECK(report.pinned_bytes + report.ring_bytes + report.kv_bytes + report.activation_bytes +
            report.staging_bytes + report.table_bytes <=
        report.ram_bytes);
  CHECK(report.decode_pinned_bytes < report.activation_bytes);
  // All that a step touches is somewhere; rounding to pages adds up to two of them for each block.
  const std::int64_t placed = report.pinned_bytes + decode_pinned + streamed;
  const auto n_blocks = static_cast<std::int64_t>(plan.blocks.blocks().size());
  CHECK(placed >= report.touched_bytes);
  CHECK(placed <= report.touched_bytes + n_blocks * 2 * kDirectAlignment);
  CHECK(report.weight_bytes == r.streamed.model.tensors.weight_bytes());
  const TensorTable& tensors = r.streamed.model.tensors;  // the embedding is read row by row
  CHECK(report.touched_bytes ==
        report.weight_bytes - tensors.at(tensors.find("token_embd.weight")).extent.size_bytes);
}

TEST_CASE("a plan report's times are the forecast of the same plan") {
  const Report r(kMiB);
  const SessionPlan plan =
      make_session_plan(r.streamed.model, r.options, test_profile(), *r.options.ram_bytes);
  const StepForecast decode =
      forecast(plan, r.streamed.model, test_profile(), {1, 1, Report::kDepth}, r.options.overlap);
  const StepForecast prefill =
      forecast(plan, r.streamed.model, test_profile(), {64, 1, 0}, r.options.overlap);
  CHECK(r.report.decode.predicted_s == decode.prediction.step_s);
  CHECK(r.report.decode.bound_s == decode.bound.step_s);
  CHECK(r.report.decode.bottleneck == decode.bound.bottleneck);
  CHECK(r.report.prefill.rows == 64);
  CHECK(r.report.prefill.predicted_s == prefill.prediction.step_s);
  CHECK(r.report.decode.bound_s <= r.report.decode.predicted_s);
  CHECK(r.report.prefill.predicted_s > r.report.decode.predicted_s);
  // The decode plan's loads and, for its one row, the pages of the embedding.
  CHECK(r.report.decode.disk_bytes >= r.report.streamed_bytes);
  CHECK(r.report.decode.disk_bytes <= r.report.streamed_bytes + 2 * kDirectAlignment);
  REQUIRE(plan.candidates.size() > 1);
  CHECK(r.report.next_best == plan.candidates[1].name);
}

TEST_CASE("the budgets that a plan report names are exact to the byte") {
  Report r(kMiB);
  const auto report_with = [&](std::int64_t ram_bytes) {
    r.options.ram_bytes = ram_bytes;
    return make_plan_report(r.streamed.model, r.options, test_profile(), 0);
  };
  CHECK(report_with(r.report.min_ram_bytes).streamed_bytes > 0);
  CHECK_THROWS_AS(report_with(r.report.min_ram_bytes - 1), Error);
  CHECK(report_with(r.report.all_in_ram_bytes - 1).streamed_bytes > 0);
  const PlanReport all = report_with(r.report.all_in_ram_bytes);
  CHECK(all.streamed_bytes == 0);
  CHECK(all.ring_bytes == 0);
  CHECK(all.next_best.empty());
  CHECK_THAT(all.why, Contains("stay in memory"));
}

TEST_CASE("the JSON of a plan report repeats its numbers, and the text names them") {
  const Report r(kMiB);
  const nlohmann::json json = r.report.json();
  const auto& host = json["placement"]["host"];
  CHECK(host["pinned_weight_bytes"] == r.report.pinned_bytes);
  CHECK(host["weight_bytes_in_activations_in_decode"] == r.report.decode_pinned_bytes);
  CHECK(json["placement"]["disk"]["streamed_bytes_per_step"] == r.report.streamed_bytes);
  CHECK(json["predicted_s_per_step"] == r.report.decode.predicted_s);
  CHECK(json["bound_s_per_step"] == r.report.decode.bound_s);
  CHECK(json["bottleneck"] == r.report.decode.bottleneck);
  CHECK(json["min_ram_bytes"] == r.report.min_ram_bytes);
  CHECK(json["depth_tokens"] == Report::kDepth);
  CHECK(json["steps"]["prefill"]["rows"] == 64);
  CHECK(json["steps"]["decode"]["predicted_s_per_step"] == r.report.decode.predicted_s);
  CHECK(json["links"]["disk_to_host"]["bytes"] == r.report.decode.disk_bytes);
  const std::string text = r.report.text();
  CHECK_THAT(text, Contains(format_size(r.report.streamed_bytes)));
  CHECK_THAT(text, Contains(std::to_string(r.report.ring_slots) + " slots"));
  CHECK_THAT(text, Contains(r.report.next_best));
}

TEST_CASE("a mixture's plan names its expert cache, what it is expected to find and to read") {
  const Model model = golden_model("qwen3moe");
  EngineOptions options = exact_options(64);
  options.ram_bytes = least_ram(model, options) + 100 * kKiB;
  const PlanReport report = make_plan_report(model, options, test_profile(), 0);
  CHECK(report.expert_slots >= 2);
  CHECK(report.expert_slots < report.expert_matrices);
  CHECK(report.decode_expert_slots > 0);
  CHECK(report.decode_pinned_bytes < report.activation_bytes);
  CHECK(report.expert_hit_rate > 0);
  CHECK(report.expert_hit_rate < 1);
  CHECK(report.streamed_bytes > 0);
  CHECK(report.streamed_bytes <= report.decode.disk_bytes);
  CHECK(report.pinned_bytes + report.ring_bytes + report.expert_cache_bytes + report.kv_bytes +
            report.activation_bytes + report.staging_bytes + report.table_bytes <=
        report.ram_bytes);
  CHECK_THAT(report.text(), Contains("expert cache"));
  CHECK_THAT(report.text(), Contains(", expected hit rate "));
  const nlohmann::json host = report.json()["placement"]["host"];
  CHECK(host["expert_slots"] == report.expert_slots);
  CHECK(host["expert_matrices"] == report.expert_matrices);
  CHECK(host["expert_cache_bytes"] == report.expert_cache_bytes);
  CHECK(host["expected_expert_hit_rate"] == report.expert_hit_rate);

  options.ram_bytes = report.all_in_ram_bytes;
  const PlanReport all = make_plan_report(model, options, test_profile(), 0);
  CHECK(all.expert_slots == 0);
  CHECK(all.touched_bytes < all.pinned_bytes);  // a step uses few of the experts
  CHECK_THAT(all.text(), !Contains("expert cache"));
}

TEST_CASE("what would help is what limits a step, and each factor is of a plan that was made") {
  const auto helps = [](const PlanReport& report, const std::string& change) {
    for (const Advice& advice : report.would_help)
      if (advice.change.find(change) != std::string::npos) return advice.factor;
    return 1.0;
  };
  const Report streams(kMiB);
  CHECK(helps(streams.report, "disk") > 1.3);
  CHECK(helps(streams.report, "memory's rate") == 1.0);
  CHECK(helps(streams.report, "more --ram") > 1.3);
  CHECK_THAT(streams.report.text(), Catch::Matchers::Contains("what would help: "));
  const Report stays(64 * kMiB);
  CHECK(helps(stays.report, "disk") == 1.0);
  CHECK(helps(stays.report, "more --ram") == 1.0);
  CHECK(helps(stays.report, "memory's rate") > 1.3);
}

}  // namespace
}  // namespace windlass

// How a selftest is printed: a table for people, JSON for programs.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "pipeline/eval/selftest.h"
#include "src/base/units.h"

namespace windlass {
namespace {

const char* result_name(CaseResult result) {
  switch (result) {
    case CaseResult::kSame:
      return "passed";
    case CaseResult::kDiffers:
      return "differs";
    case CaseResult::kFailed:
      return "failed";
    case CaseResult::kSkipped:
      return "skipped";
  }
  return "";
}

const char* expectation_name(Expectation expectation) {
  switch (expectation) {
    case Expectation::kReference:
      return "reference";
    case Expectation::kSameBits:
      return "same bits";
    case Expectation::kWithinTolerance:
      return "tolerance";
  }
  return "";
}

std::string outcome(const SelftestRow& row) {
  std::string text = result_name(row.result);
  if (row.difference) {
    const LogitDifference& d = *row.difference;
    text += fmt::format(": {}, position {}, logit {}: {:.9g}, not {:.9g}", row.phase, d.position,
                        d.logit, d.got, d.expected);
  }
  if (!row.reason.empty()) text += ": " + row.reason;
  if (row.result != CaseResult::kSkipped && row.max_abs > 0)
    text += fmt::format(" (max {:.2g}, mean {:.2g})", row.max_abs, row.mean_abs);
  return text;
}

nlohmann::json to_json(const SelftestRow& row) {
  const EngineOptions& options = row.tested.options;
  nlohmann::json json = {{"name", row.tested.name},
                         {"isa", isa_name(options.isa)},
                         {"expected", expectation_name(row.tested.expectation)},
                         {"result", result_name(row.result)}};
  if (!row.reason.empty()) json["reason"] = row.reason;
  if (row.result == CaseResult::kSkipped || row.result == CaseResult::kFailed) return json;
  json.update({{"budget_bytes", row.budget_bytes},
               {"peak_bytes", row.peak_bytes},
               {"read_bytes", row.read_bytes},
               {"threads", row.threads},
               {"io_engine", row.io_engine},
               {"ring_slots", row.ring_slots},
               {"micro_batch_tokens", options.micro_batch_tokens},
               {"max_abs", row.max_abs},
               {"mean_abs", row.mean_abs}});
  if (!row.difference) return json;
  json["first_difference"] = {{"phase", row.phase},
                              {"position", row.difference->position},
                              {"logit", row.difference->logit},
                              {"expected", row.difference->expected},
                              {"got", row.difference->got}};
  return json;
}

}  // namespace

std::int64_t SelftestReport::count(CaseResult result) const {
  return std::count_if(rows.begin(), rows.end(),
                       [&](const SelftestRow& row) { return row.result == result; });
}

nlohmann::json to_json(const SelftestReport& report) {
  nlohmann::json cases = nlohmann::json::array();
  for (const SelftestRow& row : report.rows) cases.push_back(to_json(row));
  return {{"passed", report.passed()},
          {"n_passed", report.count(CaseResult::kSame)},
          {"n_differ", report.count(CaseResult::kDiffers)},
          {"n_failed", report.count(CaseResult::kFailed)},
          {"n_skipped", report.count(CaseResult::kSkipped)},
          {"prompt_tokens", report.prompt_tokens},
          {"positions", report.positions},
          {"tolerance",
           {{"path", report.tolerance.path},
            {"max_abs", report.tolerance.max_abs},
            {"mean_abs", report.tolerance.mean_abs},
            {"n_outliers", report.tolerance.n_outliers}}},
          {"cases", cases}};
}

std::string format_header() {
  return fmt::format("{:<28} {:<10} {:>10} {:>7} {:>4} {:<8} {:>4} {:<9}  {}\n", "case", "isa",
                     "--ram", "threads", "ring", "reads by", "-ub", "to agree", "result");
}

std::string format_row(const SelftestRow& row) {
  const EngineOptions& options = row.tested.options;
  const bool ran = row.result == CaseResult::kSame || row.result == CaseResult::kDiffers;
  const auto shown = [&](const std::string& text) { return ran ? text : std::string("-"); };
  return fmt::format("{:<28} {:<10} {:>10} {:>7} {:>4} {:<8} {:>4} {:<9}  {}\n", row.tested.name,
                     isa_name(options.isa), shown(format_size(row.budget_bytes)),
                     shown(std::to_string(row.threads)), shown(std::to_string(row.ring_slots)),
                     shown(row.io_engine), options.micro_batch_tokens,
                     expectation_name(row.tested.expectation), outcome(row));
}

std::string format_summary(const SelftestReport& report) {
  return fmt::format(
      "{} cases: {} passed, {} differ, {} failed, {} skipped; {} positions of a prompt of {} "
      "tokens\n"
      "tolerance where -ub or the instruction set differs ({}): {:.2g} at most, {:.2g} in the "
      "mean\n",
      report.rows.size(), report.count(CaseResult::kSame), report.count(CaseResult::kDiffers),
      report.count(CaseResult::kFailed), report.count(CaseResult::kSkipped), report.positions,
      report.prompt_tokens, report.tolerance.path, report.tolerance.max_abs,
      report.tolerance.mean_abs);
}

}  // namespace windlass

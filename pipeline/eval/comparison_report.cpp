// How a comparison is printed: the rows that llama-perplexity prints, with intervals for its
// standard errors.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "pipeline/eval/comparison.h"

namespace windlass {
namespace {

// Fewer blocks than this can hardly show how much texts differ.
constexpr std::int64_t kFewBlocks = 10;

std::string line(const std::string& name, const Estimate& e, const char* unit = "") {
  return fmt::format("{:<24} {:>12.6f}{}  [{:.6f}, {:.6f}]\n", name, e.mean, unit, e.ci95.low,
                     e.ci95.high);
}

Estimate percent(const Estimate& e) {
  return {100 * e.mean, {100 * e.ci95.low, 100 * e.ci95.high}};
}

std::string percentile_name(double part) {
  if (part == 0) return "Minimum KLD";
  if (part == 0.5) return "Median KLD";
  if (part == 1) return "Maximum KLD";
  return fmt::format("{:.1f} % KLD", 100 * part);
}

std::string footing(const SideStatistics& side) {
  std::string text = fmt::format("{} tokens scored; 95 % intervals: bootstrap of {} blocks of {}\n",
                                 side.n_scored, side.n_blocks, BlockBootstrap::kBlockRows);
  if (side.n_blocks < kFewBlocks) text += "so few blocks give rough intervals: use a longer text\n";
  return text;
}

}  // namespace

nlohmann::json to_json(const Estimate& estimate) {
  return {{"mean", estimate.mean}, {"ci95", {estimate.ci95.low, estimate.ci95.high}}};
}

nlohmann::json to_json(const SideStatistics& side) {
  return {{"perplexity", to_json(side.perplexity())},
          {"nll", to_json(side.nll)},
          {"top_is_target", to_json(side.top_is_target)}};
}

nlohmann::json to_json(const ComparisonStatistics& comparison) {
  nlohmann::json percentiles = nlohmann::json::object();
  for (const auto& [part, value] : comparison.kl_percentiles) {
    percentiles[fmt::format("{}", 100 * part)] = value;
  }
  nlohmann::json kl = to_json(comparison.kl);
  kl["median"] = percentiles["50"];
  kl["max"] = percentiles["100"];
  kl["percentiles"] = percentiles;
  nlohmann::json probability = to_json(comparison.probability_difference);
  probability["rms"] = comparison.probability_difference_rms;
  return {{"n_scored", comparison.a.n_scored},
          {"n_blocks", comparison.a.n_blocks},
          {"a", to_json(comparison.a)},
          {"b", to_json(comparison.b)},
          {"perplexity_ratio", to_json(comparison.perplexity_ratio())},
          {"nll_difference", to_json(comparison.nll_difference)},
          {"kl", kl},
          {"same_top", to_json(comparison.same_top)},
          {"probability_difference", probability}};
}

std::string format_side(const SideStatistics& side, const std::string& name) {
  return line("PPL(" + name + ")", side.perplexity()) +
         line("Top is next, " + name, percent(side.top_is_target), " %") + footing(side);
}

std::string format_comparison(const ComparisonStatistics& comparison) {
  std::string text = "====== Perplexity statistics ======\n";
  text += line("Mean PPL(A)", comparison.a.perplexity());
  text += line("Mean PPL(B)", comparison.b.perplexity());
  text += line("Mean PPL(B)/PPL(A)", comparison.perplexity_ratio());
  text += line("Mean NLL(B)-NLL(A)", comparison.nll_difference);
  text += "\n====== KL divergence statistics, KL(A||B) ======\n";
  text += line("Mean KLD", comparison.kl);
  for (auto it = comparison.kl_percentiles.rbegin(); it != comparison.kl_percentiles.rend(); ++it) {
    text += fmt::format("{:<24} {:>12.6f}\n", percentile_name(it->part), it->value);
  }
  text += "\n====== Token probability statistics ======\n";
  text += line("Mean \u0394p", percent(comparison.probability_difference), " %");
  text += fmt::format("{:<24} {:>12.6f} %\n", "RMS \u0394p",
                      100 * comparison.probability_difference_rms);
  text += line("Same top token", percent(comparison.same_top), " %");
  text += line("Top is next, A", percent(comparison.a.top_is_target), " %");
  text += line("Top is next, B", percent(comparison.b.top_is_target), " %");
  return text + "\n" + footing(comparison.a);
}

}  // namespace windlass

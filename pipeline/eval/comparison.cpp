#include "pipeline/eval/comparison.h"

#include <algorithm>
#include <cmath>

#include "src/base/check.h"

namespace windlass {
namespace {

// exp rises, so the ends of the interval stay its ends.
Estimate exp_of(const Estimate& e) {
  return {std::exp(e.mean), {std::exp(e.ci95.low), std::exp(e.ci95.high)}};
}

template <typename SideOf>
SideStatistics side_of(const BlockBootstrap& bootstrap, std::int64_t n_rows, const SideOf& side) {
  SideStatistics statistics;
  statistics.n_scored = n_rows;
  statistics.n_blocks = bootstrap.n_blocks();
  statistics.nll = bootstrap.mean([&](std::int64_t row) { return side(row).nll; });
  statistics.top_is_target =
      bootstrap.mean([&](std::int64_t row) { return side(row).top_is_target ? 1.0 : 0.0; });
  return statistics;
}

double probability_difference(const RowComparison& row) {
  return std::exp(-row.b.nll) - std::exp(-row.a.nll);
}

std::vector<ComparisonStatistics::Percentile> kl_percentiles(std::span<const RowComparison> rows) {
  std::vector<double> sorted;
  sorted.reserve(rows.size());
  for (const RowComparison& row : rows) sorted.push_back(row.kl);
  std::sort(sorted.begin(), sorted.end());
  std::vector<ComparisonStatistics::Percentile> percentiles;
  for (const double part : {0.0, 0.001, 0.01, 0.05, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
    const double at = part * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    const double share = at - static_cast<double>(below);
    percentiles.push_back({part, sorted[below] + (sorted[above] - sorted[below]) * share});
  }
  return percentiles;
}

}  // namespace

Estimate SideStatistics::perplexity() const { return exp_of(nll); }
Estimate ComparisonStatistics::perplexity_ratio() const { return exp_of(nll_difference); }

SideStatistics side_statistics(std::span<const SideRow> rows, std::int64_t rows_per_window,
                               std::uint64_t seed) {
  const auto n_rows = static_cast<std::int64_t>(rows.size());
  return side_of(BlockBootstrap(n_rows, rows_per_window, seed), n_rows,
                 [&](std::int64_t row) { return rows[static_cast<std::size_t>(row)]; });
}

ComparisonStatistics comparison_statistics(std::span<const RowComparison> rows,
                                           std::int64_t rows_per_window, std::uint64_t seed) {
  const auto n_rows = static_cast<std::int64_t>(rows.size());
  const BlockBootstrap bootstrap(n_rows, rows_per_window, seed);
  const auto at = [&](std::int64_t row) -> const RowComparison& {
    return rows[static_cast<std::size_t>(row)];
  };
  ComparisonStatistics result;
  result.a = side_of(bootstrap, n_rows, [&](std::int64_t row) { return at(row).a; });
  result.b = side_of(bootstrap, n_rows, [&](std::int64_t row) { return at(row).b; });
  result.nll_difference =
      bootstrap.mean([&](std::int64_t row) { return at(row).b.nll - at(row).a.nll; });
  result.kl = bootstrap.mean([&](std::int64_t row) { return at(row).kl; });
  result.kl_percentiles = kl_percentiles(rows);
  result.same_top = bootstrap.mean(
      [&](std::int64_t row) { return at(row).a.top_id == at(row).b.top_id ? 1.0 : 0.0; });
  result.probability_difference =
      bootstrap.mean([&](std::int64_t row) { return probability_difference(at(row)); });
  double squares = 0;
  for (const RowComparison& row : rows) squares += std::pow(probability_difference(row), 2);
  result.probability_difference_rms = std::sqrt(squares / static_cast<double>(n_rows));
  return result;
}

std::int64_t statistics_bytes(std::int64_t n_rows, std::int64_t rows_per_window) {
  const std::int64_t sorted_bytes = n_rows * static_cast<std::int64_t>(sizeof(double));
  return sorted_bytes + BlockBootstrap(n_rows, rows_per_window, 0).size_bytes();
}

}  // namespace windlass

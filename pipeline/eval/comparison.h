// What one model (side B) makes of a text against another (side A), row by row and in sum: the
// figures of llama-perplexity's --kl-divergence, each mean with its confidence interval.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "pipeline/eval/bootstrap.h"

namespace windlass {

// One scored row of one side.
struct SideRow {
  double nll = 0;  // of the token that came, in nats
  std::int32_t top_id = 0;
  bool top_is_target = false;
};

// One scored row of both.
struct RowComparison {
  SideRow a, b;
  double kl = 0;  // KL(A || B), in nats
};

// The figures of one side alone.
struct SideStatistics {
  std::int64_t n_scored = 0, n_blocks = 0;
  Estimate nll;
  Estimate top_is_target;  // share of rows whose likeliest token is the one that came
  Estimate perplexity() const;
};
SideStatistics side_statistics(std::span<const SideRow> rows, std::int64_t rows_per_window,
                               std::uint64_t seed);

struct ComparisonStatistics {
  SideStatistics a, b;
  Estimate nll_difference;  // B - A
  Estimate perplexity_ratio() const;
  Estimate kl;
  struct Percentile {
    double part = 0, value = 0;
  };
  std::vector<Percentile> kl_percentiles;  // ascending, from the minimum (0) to the maximum (1)
  Estimate same_top;                       // share of rows with the same likeliest token
  Estimate probability_difference;         // of the token that came: p(B) - p(A)
  double probability_difference_rms = 0;
};
ComparisonStatistics comparison_statistics(std::span<const RowComparison> rows,
                                           std::int64_t rows_per_window, std::uint64_t seed);

// Heap that the two functions above take for n_rows rows, besides the rows.
std::int64_t statistics_bytes(std::int64_t n_rows, std::int64_t rows_per_window);

nlohmann::json to_json(const Estimate& estimate);  // {mean, ci95: [low, high]}
nlohmann::json to_json(const SideStatistics& side);
nlohmann::json to_json(const ComparisonStatistics& comparison);
std::string format_side(const SideStatistics& side, const std::string& name);
std::string format_comparison(const ComparisonStatistics& comparison);

}  // namespace windlass

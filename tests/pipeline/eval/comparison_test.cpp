#include "pipeline/eval/comparison.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/support/catch.h"

namespace windlass {
namespace {

TEST_CASE("two equal sides have nothing between them, and intervals of no width") {
  std::vector<RowComparison> rows;
  for (int i = 0; i < 300; ++i) {
    const SideRow side{0.01 * i, i % 7, i % 3 == 0};
    rows.push_back({side, side, 0.0});
  }
  const ComparisonStatistics statistics = comparison_statistics(rows, 100, 1);
  for (const Estimate& zero :
       {statistics.kl, statistics.nll_difference, statistics.probability_difference}) {
    CHECK(zero.mean == 0);
    CHECK(zero.ci95.low == 0);
    CHECK(zero.ci95.high == 0);
  }
  CHECK(statistics.perplexity_ratio().ci95.low == 1);
  CHECK(statistics.perplexity_ratio().ci95.high == 1);
  CHECK(statistics.same_top.mean == 1);
  CHECK(statistics.same_top.ci95.low == 1);
  CHECK(statistics.a.perplexity().mean == Approx(std::exp(0.01 * 299 / 2)));
  CHECK(statistics.a.perplexity().ci95.low < statistics.a.perplexity().mean);
  CHECK(statistics.a.top_is_target.mean == Approx(1.0 / 3));
}

TEST_CASE("each figure is what its definition says") {
  std::vector<RowComparison> rows;
  for (int i = 0; i < 1001; ++i) {
    RowComparison row;
    row.a = {std::log(4.0), 1, true};                     // p = 1/4
    row.b = {std::log(2.0), i % 10 == 0 ? 2 : 1, false};  // p = 1/2
    row.kl = 0.001 * i;
    rows.push_back(row);
  }
  const ComparisonStatistics statistics = comparison_statistics(rows, 1001, 1);
  CHECK(statistics.kl.mean == Approx(0.5));
  CHECK(statistics.kl.ci95.low < 0.5);
  CHECK(statistics.kl.ci95.high > 0.5);
  CHECK(statistics.nll_difference.mean == Approx(-std::log(2.0)));
  CHECK(statistics.perplexity_ratio().mean == Approx(0.5));
  CHECK(statistics.a.perplexity().mean == Approx(4));
  CHECK(statistics.b.perplexity().mean == Approx(2));
  CHECK(statistics.same_top.mean == Approx(900.0 / 1001));
  CHECK(statistics.probability_difference.mean == Approx(0.25));
  CHECK(statistics.probability_difference_rms == Approx(0.25));
  const auto json = to_json(statistics);
  CHECK(json["kl"]["median"].get<double>() == Approx(0.5));
  CHECK(json["kl"]["max"].get<double>() == Approx(1.0));
  CHECK(json["kl"]["percentiles"]["99"].get<double>() == Approx(0.99));
  CHECK(json["kl"]["percentiles"]["99.9"].get<double>() == Approx(0.999));
  CHECK(json["kl"]["ci95"].size() == 2);
  CHECK_THAT(format_comparison(statistics), Contains("Median KLD") && Contains("0.500000"));
}

TEST_CASE("one side alone, and few blocks are said to be few") {
  const std::vector<SideRow> rows(40, SideRow{std::log(8.0), 3, true});
  const SideStatistics statistics = side_statistics(rows, 20, 1);
  CHECK(statistics.perplexity().mean == Approx(8));
  CHECK(statistics.top_is_target.mean == 1);
  CHECK(statistics.n_blocks == 2);
  CHECK_THAT(format_side(statistics, "A"), Contains("rough intervals"));
}

}  // namespace
}  // namespace windlass

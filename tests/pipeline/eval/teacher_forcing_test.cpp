#include "pipeline/eval/teacher_forcing.h"

#include <cmath>

#include "tests/pipeline/golden_model.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

using namespace windlass::test;

// ln of the sum of exp, less the logit of `target`, of one golden row.
double nll_of(std::span<const float> logits, std::int32_t target) {
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  return std::log(sum) - static_cast<double>(logits[static_cast<std::size_t>(target)]);
}

TEST_CASE("windows follow one another, the rest is dropped, and BOS begins each") {
  std::vector<std::int32_t> tokens(23);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(100 + i);
  const TokenWindows windows = cut_windows(tokens, 5, 1, 0);
  CHECK(windows.count() == 4);
  CHECK(windows.shape.first_scored == 2);
  CHECK(windows.shape.rows() == 2);
  CHECK(windows.shape.logits_rows() == 3);
  CHECK(windows.n_scored() == 8);
  const auto third = windows.window(2);
  CHECK(std::vector(third.begin(), third.end()) ==
        std::vector<std::int32_t>{1, 111, 112, 113, 114});
  CHECK(cut_windows(tokens, 5, {}, 0).window(2)[0] == 110);
  CHECK(cut_windows(tokens, 5, {}, 3).count() == 3);
  CHECK(cut_windows(tokens, 5, {}, 9).count() == 4);
  CHECK(cut_windows(tokens, 5, {}, 0).hash() == cut_windows(tokens, 5, {}, 0).hash());
  CHECK(cut_windows(tokens, 5, {}, 0).hash() != windows.hash());
  CHECK(cut_windows(tokens, 10, {}, 0).hash() != cut_windows(tokens, 5, {}, 0).hash());
}

TEST_CASE("each row is scored as the reference's logits say, whatever the micro-batch") {
  const Model model = golden_model("llama");
  const auto ids = golden_ids("llama", 1);
  const std::vector<float> golden = golden_logits("llama", 1);
  const auto n_vocab = static_cast<std::size_t>(model.spec.n_vocab);
  // The one window that the golden logits are of: a window always begins at position 0.
  const TokenWindows windows = cut_windows(ids, std::ssize(ids), {}, 0);
  EngineOptions options = exact_options(0);
  options.micro_batch_tokens = GENERATE(0, 1, 7);
  set_scoring_shape(options, windows.shape);
  Engine engine(model, options, test_profile());
  std::vector<std::int64_t> columns(static_cast<std::size_t>(windows.n_scored()), 0);
  ScoringSinks sinks;
  sinks.on_tile = [&](const RowTile& tile) {
    columns[static_cast<std::size_t>(tile.row)] += std::ssize(tile.logits);
  };
  std::int64_t n_rows = 0;
  sinks.on_window = [&](std::int64_t window, std::span<const RowScore> rows) {
    CHECK(window == 0);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto position = static_cast<std::size_t>(windows.shape.first_scored) + i;
      const auto row = std::span(golden).subspan(position * n_vocab, n_vocab);
      CHECK(rows[i].nll() == Approx(nll_of(row, ids[position + 1])).margin(2e-4));
      CHECK(row[static_cast<std::size_t>(rows[i].top_id())] >=
            *std::max_element(row.begin(), row.end()) - 4e-4F);
    }
    n_rows += std::ssize(rows);
  };
  score_windows(engine, windows, sinks, {});
  CHECK(n_rows == windows.n_scored());
  for (const std::int64_t n : columns) CHECK(n == model.spec.n_vocab);
}

TEST_CASE("a window's score does not depend on the windows before it") {
  const Model model = golden_model("llama");
  const auto ids = golden_ids("llama", 1);
  const auto scores_of = [&](const TokenWindows& windows) {
    EngineOptions options = exact_options(0);
    set_scoring_shape(options, windows.shape);
    Engine engine(model, options, test_profile());
    std::vector<double> nlls;
    score_windows(engine, windows,
                  {.on_window =
                       [&](std::int64_t, std::span<const RowScore> rows) {
                         for (const RowScore& row : rows) nlls.push_back(row.nll());
                       }},
                  {});
    return nlls;
  };
  const TokenWindows all = cut_windows(ids, 16, {}, 0);
  REQUIRE(all.count() >= 3);
  const std::vector<double> together = scores_of(all);
  const auto last = all.window(all.count() - 1);
  const std::vector<double> alone = scores_of(cut_windows({last.begin(), last.end()}, 16, {}, 0));
  CHECK(std::vector(together.end() - std::ssize(alone), together.end()) == alone);
}

TEST_CASE("of equal logits the lowest id is the likeliest, in any order of tiles") {
  const std::vector<float> tile = {1.0F, 5.0F, 5.0F};
  RowScore rising(4), falling(4);
  rising.add(tile, 0);
  rising.add(tile, 3);
  falling.add(tile, 3);
  falling.add(tile, 0);
  for (const RowScore& score : {rising, falling}) {
    CHECK(score.top_id() == 1);
    CHECK_FALSE(score.top_is_target());
    CHECK(score.nll() == Approx(std::log(4 + 2 * std::exp(-4.0))));
  }
}

}  // namespace
}  // namespace windlass

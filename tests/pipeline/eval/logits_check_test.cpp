#include "pipeline/eval/logits_check.h"

#include <cmath>

#include "tests/pipeline/golden_model.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

constexpr std::int64_t kRows = 4, kVocab = 10;

LogitsTable table() {
  LogitsTable made(kRows, kVocab);
  for (std::int64_t row = 0; row < kRows; ++row) {
    for (std::int64_t i = 0; i < kVocab; ++i) {
      made.row(row)[i] = static_cast<float>(row * kVocab + i) / 8;
    }
  }
  return made;
}

// Rows of positions 20 on, in two tiles, the later columns first.
LogitsCheck check_of(const LogitsTable& expected, const LogitsTable& got) {
  LogitsCheck check(expected);
  check.add({20, kRows, 6, 4, got.row(0) + 6, kVocab}, 0);
  check.add({20, kRows, 0, 6, got.row(0), kVocab}, 0);
  return check;
}

TEST_CASE("equal tables differ nowhere") {
  const LogitsTable expected = table();
  const LogitsCheck check = check_of(expected, expected);
  CHECK_FALSE(check.first_difference());
  CHECK_FALSE(check.beyond({"", 0, 0, 0}));
  CHECK(check.max_abs() == 0);
  CHECK(check.mean_abs() == 0);
}

TEST_CASE("the first difference is that of the first position and its first logit") {
  const LogitsTable expected = table();
  LogitsTable got = table();
  got.row(3)[0] += 1.0F;
  got.row(2)[7] += 0.25F;
  got.row(2)[5] = std::nextafter(got.row(2)[5], 100.0F);
  const LogitsCheck check = check_of(expected, got);
  REQUIRE(check.first_difference());
  CHECK(check.first_difference()->position == 22);
  CHECK(check.first_difference()->logit == 5);
  CHECK(check.first_difference()->expected == expected.row(2)[5]);
  CHECK(check.first_difference()->got == got.row(2)[5]);
  CHECK(check.max_abs() == Approx(1.0));
  CHECK(check.mean_abs() == Approx(1.25 / 40));
}

TEST_CASE("a tolerance allows its maximum, its mean and its outliers, and no more") {
  const LogitsTable expected = table();
  LogitsTable got = table();
  got.row(1)[2] += 0.5F;
  got.row(3)[4] += 2.0F;
  const LogitsCheck check = check_of(expected, got);
  const double mean = 2.5 / 40;
  CHECK_FALSE(check.beyond({"", 2.1, mean * 1.01, 0}));
  CHECK_FALSE(check.beyond({"", 1.0, mean * 1.01, 1}));
  CHECK_FALSE(check.beyond({"", 0.1, mean * 1.01, 2}));
  const auto too_far = check.beyond({"", 1.0, mean * 1.01, 0});
  REQUIRE(too_far);
  CHECK(too_far->position == 23);
  CHECK(too_far->logit == 4);
  const auto too_many = check.beyond({"", 0.1, mean * 1.01, 1});
  REQUIRE(too_many);
  CHECK(too_many->position == 21);
  const auto on_average = check.beyond({"", 2.1, mean * 0.99, 0});
  REQUIRE(on_average);
  CHECK(on_average->position == 23);
}

TEST_CASE("what is no number is beyond every tolerance") {
  const LogitsTable expected = table();
  LogitsTable got = table();
  got.row(1)[2] = std::nanf("");
  got.row(2)[2] += 1.0F;
  const LogitsCheck check = check_of(expected, got);
  CHECK(std::isnan(check.max_abs()));
  const auto beyond = check.beyond({"", 1e30, 1e30, 4});
  REQUIRE(beyond);
  CHECK(beyond->position == 21);
}

TEST_CASE(
    "what two runs may be apart depends on weights, cache, activations and how wide logits are") {
  EngineOptions options;
  options.activations = Activations::kInt8;
  options.kv_types = {};
  const Model quantised = test::golden_model("llama_quants/Q8_0"),
              f32 = test::golden_model("llama");
  const Model mixture = test::golden_model("mixtral");
  CHECK(tolerance_for(quantised, options, table()).max_abs == Approx(2 * 5e-1));
  CHECK(tolerance_for(quantised, options, table()).n_outliers == 1);
  CHECK(tolerance_for(f32, options, table()).max_abs == Approx(2 * 6e-2));
  options.kv_types = {KvType::kF32, KvType::kQ8_0};
  CHECK(tolerance_for(f32, options, table()).max_abs == Approx(2 * 2e-1));
  options.activations = Activations::kExact;
  options.kv_types = {KvType::kF32, KvType::kF32};
  CHECK(tolerance_for(quantised, options, table()).mean_abs == Approx(2 * 5e-5));
  CHECK(tolerance_for(f32, options, table()).max_abs == Approx(2 * 2e-4));
  CHECK(tolerance_for(f32, options, table()).n_outliers == 0);
  CHECK(tolerance_for(mixture, options, table()).n_outliers == 1);
  LogitsTable wide(1, 2);
  wide.row(0)[0] = 10.0F;  // a deviation of 5
  CHECK(tolerance_for(f32, options, wide).max_abs == Approx(4 * 2e-4));
}

TEST_CASE("zeros of either sign are other bits") {
  LogitsTable expected(1, 1), got(1, 1);
  got.row(0)[0] = -0.0F;
  LogitsCheck check(expected);
  check.add({0, 1, 0, 1, got.row(0), 1}, 0);
  CHECK(check.first_difference());
  CHECK(check.max_abs() == 0);
}

}  // namespace
}  // namespace windlass

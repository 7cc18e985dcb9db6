// The solver as the planner uses it, on programs whose answers are known.
#include "pipeline/linear_program.h"

#include "tests/support/catch.h"

namespace windlass {
namespace {

// Most of 8a + 11b + 6c + 4d with 5a + 7b + 4c + 3d <= 14, each 0 or 1: b, c and d, 21; in
// fractions a, b and half of c, 22.
TEST_CASE("whole numbers are whole, and the relaxed program is no worse") {
  LinearProgram program;
  for (const double value : {8.0, 11.0, 6.0, 4.0}) program.add_variable(0, 1, -value, true);
  program.add_row({{0, 5}, {1, 7}, {2, 4}, {3, 3}}, -kNoLimit, 14);
  const auto whole = program.solve(), relaxed = program.solve(true);
  REQUIRE((whole && relaxed));
  CHECK(program.cost_of(*whole) == Approx(-21));
  CHECK((*whole)[0] == Approx(0).margin(1e-6));
  CHECK(program.cost_of(*relaxed) == Approx(-22));
  CHECK(*program.solve() == *whole);
}

TEST_CASE("a program that nothing satisfies has no answer") {
  LinearProgram program;
  const int x = program.add_variable(0, 1, 1, true);
  program.add_row({{x, 1}}, 2, 3);
  CHECK_FALSE(program.solve());
  CHECK_FALSE(program.solve(true));
}

}  // namespace
}  // namespace windlass

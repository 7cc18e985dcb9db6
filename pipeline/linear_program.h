// Linear programs, some variables of which are to be whole numbers: what the planner asks of a
// solver library (COIN-OR CBC).
#pragma once

#include <limits>
#include <optional>
#include <vector>

namespace windlass {

inline constexpr double kNoLimit = std::numeric_limits<double>::max();

// Minimises sum of cost * x under least <= x <= most and rows of sums within limits. Scale what
// goes in so that numbers are of about 1: tolerances are absolute, 1e-7.
class LinearProgram {
 public:
  struct Term {
    int variable;
    double factor;
  };
  // The new variable's number.
  int add_variable(double least, double most, double cost, bool whole);
  void set_cost(int variable, double cost) { cost_[static_cast<std::size_t>(variable)] = cost; }
  // least <= sum of factor * variable <= most. A variable may come several times.
  void add_row(const std::vector<Term>& terms, double least, double most);

  // By variable; none where nothing satisfies all rows. relaxed: no variable has to be whole. The
  // same on every call: what limits the search is a count of nodes (some thousands, far more than
  // the planner's programs take), within 1e-4 of the best. Prints nothing. Cost: milliseconds.
  std::optional<std::vector<double>> solve(bool relaxed = false) const;
  double cost_of(const std::vector<double>& x) const;

 private:
  struct Row {
    std::vector<Term> terms;
    double least, most;
  };
  std::vector<double> least_, most_, cost_;
  std::vector<bool> whole_;
  std::vector<Row> rows_;
};

}  // namespace windlass

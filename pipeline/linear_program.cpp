#include "pipeline/linear_program.h"

#include <Cbc_C_Interface.h>

#include <map>
#include <memory>

#include "src/base/check.h"

namespace windlass {
namespace {

constexpr int kMostNodes = 5000;
constexpr double kGap = 1e-4;

// The constraints column by column, as CBC takes them.
struct Columns {
  std::vector<int> starts, rows;
  std::vector<double> factors;
};

}  // namespace

int LinearProgram::add_variable(double least, double most, double cost, bool whole) {
  least_.push_back(least);
  most_.push_back(most);
  cost_.push_back(cost);
  whole_.push_back(whole);
  return static_cast<int>(least_.size()) - 1;
}

void LinearProgram::add_row(const std::vector<Term>& terms, double least, double most) {
  rows_.push_back({terms, least, most});
}

double LinearProgram::cost_of(const std::vector<double>& x) const {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += cost_[i] * x[i];
  return sum;
}

std::optional<std::vector<double>> LinearProgram::solve(bool relaxed) const {
  std::vector<std::map<int, double>> by_column(least_.size());
  std::vector<double> row_least, row_most;
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    for (const Term& term : rows_[row].terms)
      by_column[static_cast<std::size_t>(term.variable)][static_cast<int>(row)] += term.factor;
    row_least.push_back(rows_[row].least);
    row_most.push_back(rows_[row].most);
  }
  Columns columns;
  for (const auto& column : by_column) {
    columns.starts.push_back(static_cast<int>(columns.rows.size()));
    for (const auto& [row, factor] : column) {
      columns.rows.push_back(row);
      columns.factors.push_back(factor);
    }
  }
  columns.starts.push_back(static_cast<int>(columns.rows.size()));

  const std::unique_ptr<Cbc_Model, void (*)(Cbc_Model*)> model(Cbc_newModel(), Cbc_deleteModel);
  WINDLASS_CHECK(model != nullptr);
  Cbc_setLogLevel(model.get(), 0);
  Cbc_loadProblem(model.get(), static_cast<int>(least_.size()), static_cast<int>(rows_.size()),
                  columns.starts.data(), columns.rows.data(), columns.factors.data(), least_.data(),
                  most_.data(), cost_.data(), row_least.data(), row_most.data());
  for (std::size_t i = 0; i < whole_.size(); ++i) {
    if (whole_[i] && !relaxed) Cbc_setInteger(model.get(), static_cast<int>(i));
  }
  Cbc_setMaximumNodes(model.get(), kMostNodes);
  Cbc_setAllowableFractionGap(model.get(), kGap);
  Cbc_solve(model.get());
  if (Cbc_isProvenInfeasible(model.get()) != 0) return std::nullopt;
  const double* solution = Cbc_getColSolution(model.get());
  if (solution == nullptr) return std::nullopt;
  return std::vector<double>(solution, solution + least_.size());
}

}  // namespace windlass

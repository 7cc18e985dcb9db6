#include "pipeline/eval/divergence.h"

#include <cmath>

#include "src/base/check.h"

namespace windlass {

DivergenceMeter::DivergenceMeter(BaselineReader& baseline)
    : baseline_(baseline), current_(static_cast<std::size_t>(baseline.identity().shape.rows())) {
  rows_.reserve(static_cast<std::size_t>(baseline.identity().n_rows()));
}

void DivergenceMeter::begin_window(std::int64_t window) {
  window_ = window;
  for (std::size_t i = 0; i < current_.size(); ++i) {
    current_[i] = {};
    current_[i].a = baseline_.summary(window * std::ssize(current_) + static_cast<std::int64_t>(i));
  }
}

void DivergenceMeter::add(const RowTile& tile) {
  const std::int64_t window = tile.row / std::ssize(current_);
  if (window != window_) begin_window(window);
  Row& row = current_[static_cast<std::size_t>(tile.row % std::ssize(current_))];
  logits_.resize(tile.logits.size());
  baseline_.read(tile.row, tile.first_column, logits_);
  double weight = 0, sum = 0;
  for (std::size_t i = 0; i < logits_.size(); ++i) {
    const auto a = static_cast<double>(logits_[i]);
    // In double: a float's error in p, some 1e-7, would be a row's KL when sides are that close.
    const double p = std::exp(a - row.a.log_sum);
    weight += p;
    sum += p * (a - static_cast<double>(tile.logits[i]));
  }
  row.weight += weight;
  row.sum += sum;
  row.bits += logit_bits(tile.logits, tile.first_column);
}

void DivergenceMeter::add_window(std::int64_t window, std::span<const RowScore> rows) {
  WINDLASS_CHECK(window == window_ && rows.size() == current_.size(), window, window_, rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = current_[i];
    const RowScore& b = rows[i];
    RowComparison result;
    const auto top_a = static_cast<std::int32_t>(row.a.top_id);
    result.a = {row.a.nll, top_a, top_a == b.target()};
    result.b = {b.nll(), b.top_id(), b.top_is_target()};
    if (row.bits != row.a.bits) {
      const double log_sum_a = row.a.log_sum + std::log(row.weight);  // of the logits as saved
      result.kl = row.sum / row.weight - log_sum_a + b.log_sum();
    }
    rows_.push_back(result);
  }
}

std::int64_t DivergenceMeter::size_bytes(const BaselineIdentity& baseline,
                                         std::int64_t tile_columns) {
  return baseline.shape.rows() * static_cast<std::int64_t>(sizeof(Row)) + tile_columns * 4 +
         baseline.n_rows() * static_cast<std::int64_t>(sizeof(RowComparison));
}

}  // namespace windlass

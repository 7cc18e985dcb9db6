// Logits of a few positions against those of another run: where they first differ, and how far they
// are apart.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/engine.h"
#include "src/model/model.h"

namespace windlass {

// Logits [rows, n_vocab] of a run, as told by whoever counts the rows.
class LogitsTable {
 public:
  LogitsTable(std::int64_t n_rows, std::int64_t n_vocab)
      : n_vocab_(n_vocab), values_(static_cast<std::size_t>(n_rows * n_vocab)) {}
  float* row(std::int64_t i) { return values_.data() + i * n_vocab_; }
  const float* row(std::int64_t i) const { return values_.data() + i * n_vocab_; }
  std::int64_t n_vocab() const { return n_vocab_; }
  std::int64_t n_rows() const { return static_cast<std::int64_t>(values_.size()) / n_vocab_; }
  double standard_deviation() const;
  // First row of `tile` is this table's `first_row`.
  void keep(const LogitsTile& tile, std::int64_t first_row);

 private:
  std::int64_t n_vocab_;
  std::vector<float> values_;
};

// How far two ways of computing the same may be apart.
struct Tolerance {
  std::string path;  // what is computed how: "8-bit activations"
  double max_abs = 0, mean_abs = 0;
  // Rows that may exceed max_abs: where a choice of experts or the rounding of an activation tips
  // over, a single position can be far off.
  std::int64_t n_outliers = 0;
};

// Of two runs of a model. By weights, KV cache and activations each may be off the true logits by
// what was measured between implementations on tiny models (float32 2e-4; F16 KV 6e-2; quantised
// weights 5e-4; with 8-bit activations 5e-1), whose logits deviate by up to 2.5; wider logits are
// allowed as much more. Two runs may be apart by twice that.
Tolerance tolerance_for(const Model& model, const EngineOptions& options,
                        const LogitsTable& reference);

struct LogitDifference {
  std::int64_t position = 0, logit = 0;
  float expected = 0, got = 0;
};

// Owner-thread.
class LogitsCheck {
 public:
  explicit LogitsCheck(const LogitsTable& expected);
  // First row of `tile` is row `first_row` of what is expected.
  void add(const LogitsTile& tile, std::int64_t first_row);

  // The first in the order of positions that differs in a bit.
  const std::optional<LogitDifference>& first_difference() const { return first_; }
  // The first of them whose row is further off than an outlier may be, if they are too many, or if
  // the mean is too far off: the largest difference then.
  std::optional<LogitDifference> beyond(const Tolerance& tolerance) const;
  double max_abs() const;  // NaN where a logit is none
  double mean_abs() const { return sum_ / static_cast<double>(count_); }

 private:
  struct Row {
    double max_abs = 0;
    LogitDifference largest;
  };
  const Row& furthest() const;

  const LogitsTable& expected_;
  std::optional<LogitDifference> first_;
  std::vector<Row> rows_;
  double sum_ = 0;
  std::int64_t count_ = 0;
};

}  // namespace windlass

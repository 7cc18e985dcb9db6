// Side B of a comparison, as its logits come: each row against the saved row of side A.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pipeline/eval/baseline_file.h"
#include "pipeline/eval/comparison.h"
#include "pipeline/eval/teacher_forcing.h"

namespace windlass {

// KL(A || B) of a row is the sum over ids of p(a - b), less ln Z_a, plus ln Z_b, where a and b are
// logits and p = exp(a) / Z_a. It is gathered tile by tile, with a as the file has it (so p sums to
// 1 only nearly, and is divided by what it does sum to). Rows equal bit for bit have exactly 0.
// Owner-thread.
class DivergenceMeter {
 public:
  // The reader's windows are those that will come.
  explicit DivergenceMeter(BaselineReader& baseline);
  void add(const RowTile& tile);
  void add_window(std::int64_t window, std::span<const RowScore> rows);
  // Of all windows so far, in order.
  const std::vector<RowComparison>& rows() const { return rows_; }
  // tile_columns: of side B.
  static std::int64_t size_bytes(const BaselineIdentity& baseline, std::int64_t tile_columns);

 private:
  struct Row {
    RowSummary a;
    double weight = 0, sum = 0;  // of p, of p(a - b)
    std::uint64_t bits = 0;      // of B's logits
  };
  void begin_window(std::int64_t window);

  BaselineReader& baseline_;
  std::int64_t window_ = -1;
  std::vector<Row> current_;  // of that window
  std::vector<float> logits_;
  std::vector<RowComparison> rows_;
};

}  // namespace windlass

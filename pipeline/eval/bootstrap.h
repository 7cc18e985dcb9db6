// Confidence intervals by a block bootstrap (Künsch 1989, with fixed blocks): how far a mean over
// scored tokens could be off because the text was this one and not another of its kind.
//
// What is drawn again, with replacement, are blocks of consecutive rows and not single rows:
// neighbouring tokens share their context, so their errors are alike, and drawing them singly would
// make intervals too narrow. Both sides of a comparison keep their rows together (paired): a
// difference is taken row by row before anything is drawn.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace windlass {

struct Interval {
  double low = 0, high = 0;
};

struct Estimate {
  double mean = 0;
  Interval ci95;  // percentiles 2.5 and 97.5 of the resampled means
};

// Thread-compatible; immutable.
class BlockBootstrap {
 public:
  // Long enough for what neighbours share, short enough that one window of 512 gives eight.
  static constexpr std::int64_t kBlockRows = 32;
  static constexpr int kResamples = 2000;

  // n_rows in windows of rows_per_window; no block reaches from one window into the next (the last
  // of each may be shorter). REQUIRES n_rows > 0.
  BlockBootstrap(std::int64_t n_rows, std::int64_t rows_per_window, std::uint64_t seed);

  std::int64_t n_blocks() const { return static_cast<std::int64_t>(block_begins_.size()) - 1; }
  // Of value(row) over all rows. The same seed draws the same blocks, on every machine.
  Estimate mean(const std::function<double(std::int64_t row)>& value) const;
  std::int64_t size_bytes() const;  // held, and by mean() while it runs

 private:
  std::vector<std::int64_t> block_begins_;  // and the end of the last
  std::uint64_t seed_;
};

}  // namespace windlass

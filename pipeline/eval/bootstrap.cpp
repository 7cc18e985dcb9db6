#include "pipeline/eval/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "src/base/check.h"

namespace windlass {
namespace {

// Between the two nearest ranks, linearly.
double percentile(const std::vector<double>& sorted, double part) {
  const double at = part * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double share = at - static_cast<double>(below);
  return sorted[below] + (sorted[above] - sorted[below]) * share;
}

}  // namespace

BlockBootstrap::BlockBootstrap(std::int64_t n_rows, std::int64_t rows_per_window,
                               std::uint64_t seed)
    : seed_(seed) {
  WINDLASS_CHECK(n_rows > 0 && rows_per_window > 0, n_rows, rows_per_window);
  for (std::int64_t window = 0; window < n_rows; window += rows_per_window) {
    const std::int64_t end = std::min(window + rows_per_window, n_rows);
    for (std::int64_t row = window; row < end; row += kBlockRows) block_begins_.push_back(row);
  }
  block_begins_.push_back(n_rows);
}

Estimate BlockBootstrap::mean(const std::function<double(std::int64_t row)>& value) const {
  std::vector<double> sums(static_cast<std::size_t>(n_blocks()), 0.0);
  double total = 0;
  for (std::size_t block = 0; block < sums.size(); ++block) {
    for (std::int64_t row = block_begins_[block]; row < block_begins_[block + 1]; ++row) {
      sums[block] += value(row);
    }
    total += sums[block];
  }
  // Remainders of 64-bit draws: uneven by 2^-50 at most, and, unlike the library's distributions,
  // the same on every machine.
  std::mt19937_64 random(seed_);
  std::vector<double> means(kResamples);
  for (double& mean : means) {
    double sum = 0;
    std::int64_t rows = 0;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const std::size_t block = random() % sums.size();
      sum += sums[block];
      rows += block_begins_[block + 1] - block_begins_[block];
    }
    mean = sum / static_cast<double>(rows);
  }
  std::sort(means.begin(), means.end());
  return {total / static_cast<double>(block_begins_.back()),
          {percentile(means, 0.025), percentile(means, 0.975)}};
}

std::int64_t BlockBootstrap::size_bytes() const {
  constexpr auto kNumber = static_cast<std::int64_t>(sizeof(double));
  return (2 * n_blocks() + 1 + kResamples) * kNumber;
}

}  // namespace windlass

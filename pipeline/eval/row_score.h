// What the logits of one position say about the token that came: from tiles of logits, so that no
// row is ever held whole.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

namespace windlass {

// A running maximum and sum of exponentials. Columns may come in any order of tiles; the sum
// depends on that order in its last bits.
class RowScore {
 public:
  // target: the token that came.
  explicit RowScore(std::int32_t target = 0) : target_(target) {}

  // logits of the vocabulary ids from first_column on.
  void add(std::span<const float> logits, std::int64_t first_column);

  // ln of the sum of exp(logit) over the columns so far.
  double log_sum() const { return maximum_ + std::log(exp_sum_); }
  // Negative log-likelihood of the target, in nats.
  double nll() const { return log_sum() - target_logit_; }
  // The id of the largest logit, the lowest of equal ones.
  std::int32_t top_id() const { return top_id_; }
  std::int32_t target() const { return target_; }
  bool top_is_target() const { return top_id_ == target_; }

 private:
  double maximum_ = -std::numeric_limits<double>::infinity();
  double exp_sum_ = 0;  // of exp(logit - maximum)
  double target_logit_ = 0;
  std::int32_t target_;
  std::int32_t top_id_ = 0;
};

}  // namespace windlass

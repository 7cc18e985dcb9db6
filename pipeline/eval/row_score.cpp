#include "pipeline/eval/row_score.h"

#include <algorithm>

namespace windlass {

void RowScore::add(std::span<const float> logits, std::int64_t first_column) {
  const std::int64_t target = target_ - first_column;
  if (target >= 0 && target < static_cast<std::int64_t>(logits.size())) {
    target_logit_ = static_cast<double>(logits[static_cast<std::size_t>(target)]);
  }
  float largest = logits[0];
  for (const float logit : logits) largest = std::max(largest, logit);
  const auto wide = static_cast<double>(largest);
  if (wide >= maximum_) {
    const auto at = std::find(logits.begin(), logits.end(), largest) - logits.begin();
    const auto id = static_cast<std::int32_t>(first_column + at);
    if (wide > maximum_ || id < top_id_) top_id_ = id;
  }
  const double new_maximum = std::max(maximum_, wide);
  const auto base = static_cast<float>(new_maximum);
  double exp_sum = 0;
  for (const float logit : logits) exp_sum += static_cast<double>(std::exp(logit - base));
  exp_sum_ = exp_sum_ * std::exp(maximum_ - new_maximum) + exp_sum;
  maximum_ = new_maximum;
}

}  // namespace windlass

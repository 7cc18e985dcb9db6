#include "pipeline/eval/logits_check.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace windlass {
namespace {

bool is_quantised(const Model& model) {
  return std::any_of(
      model.tensors.tensors.begin(), model.tensors.tensors.end(),
      [](const TensorInfo& tensor) { return dtype_info(tensor.type).block_weights > 1; });
}

bool has_type(const Model& model, DType type) {
  return std::any_of(model.tensors.tensors.begin(), model.tensors.tensors.end(),
                     [type](const TensorInfo& tensor) { return tensor.type == type; });
}

bool is_half(const Model& model) {
  return has_type(model, DType::kF16) || has_type(model, DType::kBF16);
}

bool has(const KvTypes& types, KvType type) { return types.keys == type || types.values == type; }

bool same_bits(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

bool comes_before(const LogitDifference& a, const LogitDifference& b) {
  return a.position != b.position ? a.position < b.position : a.logit < b.logit;
}

}  // namespace

double LogitsTable::standard_deviation() const {
  double sum = 0, squares = 0;
  for (const float value : values_) {
    sum += static_cast<double>(value);
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  const auto n = static_cast<double>(values_.size());
  return std::sqrt(std::max(squares / n - sum / n * (sum / n), 0.0));
}

void LogitsTable::keep(const LogitsTile& tile, std::int64_t first_row) {
  for (std::int64_t i = 0; i < tile.rows; ++i) {
    std::copy_n(tile.data + i * tile.stride, tile.columns, row(first_row + i) + tile.first_column);
  }
}

Tolerance tolerance_for(const Model& model, const EngineOptions& options,
                        const LogitsTable& reference) {
  const bool rounded = options.activations == Activations::kInt8 && is_quantised(model);
  Tolerance tolerance;
  if (rounded) {
    tolerance = {"quantised weights, 8-bit activations", 5e-1, 8e-2};
  } else if (options.activations != Activations::kExact && has_type(model, DType::kBF16)) {
    tolerance = {"BF16 weights, bf16 activations on some instruction sets", 2e-1, 2e-2};
  } else if (has(options.kv_types, KvType::kQ8_0) || has(options.kv_types, KvType::kBF16)) {
    tolerance = {"q8_0 or bf16 KV cache", 2e-1, 1.8e-2};
  } else if (has(options.kv_types, KvType::kF16) || is_half(model)) {
    tolerance = {"F16 weights or KV cache", 6e-2, 5e-3};
  } else if (is_quantised(model)) {
    tolerance = {"quantised weights, f32 activations", 5e-4, 5e-5};
  } else {
    tolerance = {"f32 throughout", 2e-4, 2e-5};
  }
  constexpr double kMeasuredDeviation = 2.5;
  // Twice: neither of the two is the truth that the figures are about.
  const double wider = 2 * std::max(reference.standard_deviation() / kMeasuredDeviation, 1.0);
  tolerance.max_abs *= wider;
  tolerance.mean_abs *= wider;
  // One position in a hundred, rounded up; where rounding also tips choices of experts, each of
  // which is another token's history from then on, one in four.
  const bool tips = model.spec.experts.n_experts > 0;
  const std::int64_t in = rounded && tips ? 4 : 100;
  if (rounded || tips) tolerance.n_outliers = (reference.n_rows() + in - 1) / in;
  return tolerance;
}

LogitsCheck::LogitsCheck(const LogitsTable& expected)
    : expected_(expected), rows_(static_cast<std::size_t>(expected.n_rows())) {}

void LogitsCheck::add(const LogitsTile& tile, std::int64_t first_row) {
  for (std::int64_t i = 0; i < tile.rows; ++i) {
    const float* expected = expected_.row(first_row + i) + tile.first_column;
    const float* got = tile.data + i * tile.stride;
    Row& row = rows_[static_cast<std::size_t>(first_row + i)];
    for (std::int64_t column = 0; column < tile.columns; ++column) {
      if (same_bits(expected[column], got[column])) continue;
      const LogitDifference difference = {tile.first_position + i, tile.first_column + column,
                                          expected[column], got[column]};
      if (!first_ || comes_before(difference, *first_)) first_ = difference;
      const double apart =
          std::abs(static_cast<double>(expected[column]) - static_cast<double>(got[column]));
      sum_ += apart;
      if (apart <= row.max_abs) continue;  // a NaN is not, and stays
      if (!std::isnan(row.max_abs)) row = {apart, difference};
    }
    count_ += tile.columns;
  }
}

// A NaN is further off than anything.
const LogitsCheck::Row& LogitsCheck::furthest() const {
  return *std::max_element(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) {
    return !std::isnan(a.max_abs) && !(b.max_abs <= a.max_abs);
  });
}

double LogitsCheck::max_abs() const { return furthest().max_abs; }

std::optional<LogitDifference> LogitsCheck::beyond(const Tolerance& tolerance) const {
  if (std::isnan(max_abs())) return furthest().largest;
  std::int64_t n_beyond = 0;
  const Row* first = nullptr;
  for (const Row& row : rows_) {
    if (row.max_abs <= tolerance.max_abs) continue;
    if (first == nullptr) first = &row;
    ++n_beyond;
  }
  if (n_beyond > tolerance.n_outliers) return first->largest;
  if (!(mean_abs() <= tolerance.mean_abs)) return furthest().largest;
  return std::nullopt;
}

}  // namespace windlass

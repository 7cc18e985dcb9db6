// Attention and the layout of KV pages, in plain double-precision loops (reference_ops.h).
#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

const float* vector_at(const Vectors& vectors, std::int64_t row, std::int64_t v) {
  return vectors.data + row * vectors.row_stride + v / vectors.per_group * vectors.group_stride +
         v % vectors.per_group * vectors.vector_stride;
}

bool sees(const AttentionArgs& args, const KvSegment& segment, std::int64_t token,
          std::int64_t key) {
  const std::int64_t position = segment.first_position + key;
  if (segment.causal && position > args.positions[token]) return false;
  return args.window == 0 || position > args.positions[token] - args.window;
}

DType dtype_of(KvType type) {
  constexpr DType kTypes[] = {DType::kF16, DType::kF32, DType::kBF16, DType::kQ8_0};
  return kTypes[static_cast<int>(type)];
}

// Key number `lane` of a group of 16.
std::vector<double> reference_key(KvType type, const std::byte* group, std::int64_t lane,
                                  std::int64_t dim) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < dim; ++i) {
    if (type == KvType::kQ8_0) {
      const auto code = static_cast<std::int8_t>(group[(i / 4 * 16 + lane) * 4 + i % 4]);
      const std::byte* scale = group + 16 * dim + (i / 32 * 16 + lane) * 2;
      values.push_back(code * reference_dequantize(DType::kF16, scale, 1)[0]);
    } else {
      const std::byte* element = group + (i * 16 + lane) * (type == KvType::kF32 ? 4 : 2);
      values.push_back(reference_dequantize(dtype_of(type), element, 1)[0]);
    }
  }
  return values;
}

// A scaled query as keys of q8_0 meet it.
std::vector<double> reference_query(const AttentionArgs& args, const float* q) {
  std::vector<float> scaled;
  for (std::int64_t i = 0; i < args.key_dim; ++i) scaled.push_back(q[i] * args.scale);
  std::vector<double> values(scaled.begin(), scaled.end());
  if (args.types.keys != KvType::kQ8_0 || args.exact_queries) return values;
  const Q8Reference rounded = reference_quantize(scaled.data(), args.key_dim);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<double>(rounded.scales[i / 32]) * rounded.values[i];
  }
  return values;
}

}  // namespace

std::vector<double> reference_kv_row(const PageShape& shape, const std::byte* const* pages,
                                     std::int64_t slot, std::int64_t kv_head, bool is_value) {
  const auto [kv_heads, key_dim, value_dim, page_tokens, types] = shape;
  const std::byte* page = pages[slot / page_tokens];
  const std::int64_t row = kv_head * page_tokens + slot % page_tokens, lane = slot % 16;
  const std::int64_t key_bytes = kv_bytes(types.keys, key_dim);
  if (!is_value) return reference_key(types.keys, page + (row - lane) * key_bytes, lane, key_dim);
  const std::byte* values = page + kv_heads * page_tokens * key_bytes;
  const std::byte* value = values + row * kv_bytes(types.values, value_dim);
  const std::vector<float> floats = reference_dequantize(dtype_of(types.values), value, value_dim);
  return {floats.begin(), floats.end()};
}

std::vector<double> reference_attention(const AttentionArgs& args) {
  const PageShape shape{args.kv_heads, args.key_dim, args.value_dim, args.page_tokens, args.types};
  std::vector<double> out(static_cast<std::size_t>(args.tokens * args.heads * args.value_dim), 0.0);
  // By kv head, segment and slot, once they are seen.
  std::map<std::array<std::int64_t, 3>, std::pair<std::vector<double>, std::vector<double>>> cache;
  for (std::int64_t item = 0; item < args.tokens * args.heads; ++item) {
    const std::int64_t t = item / args.heads, h = item % args.heads;
    const std::int64_t g = h / (args.heads / args.kv_heads);
    const std::vector<double> q = reference_query(args, vector_at(args.q, t, h));
    std::vector<double> scores;
    std::vector<const std::vector<double>*> values;
    for (std::int64_t s = 0; s < args.n_segments; ++s) {
      const KvSegment& segment = args.segments[s];
      for (std::int64_t key = 0; key < segment.n_keys; ++key) {
        if (!sees(args, segment, t, key)) continue;
        auto& [k, v] = cache[{g, s, key}];
        if (k.empty()) {
          k = reference_kv_row(shape, segment.pages, key, g, false);
          v = reference_kv_row(shape, segment.pages, key, g, true);
        }
        const double score = std::inner_product(k.begin(), k.end(), q.begin(), 0.0);
        scores.push_back(args.soft_cap > 0 ? args.soft_cap * std::tanh(score / args.soft_cap)
                                           : score);
        values.push_back(&v);
      }
    }
    if (scores.empty()) continue;
    const double largest = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (double& score : scores) sum += score = std::exp(score - largest);
    double* row = out.data() + item * args.value_dim;
    for (std::size_t k = 0; k < scores.size(); ++k) {
      const double weight = scores[k] / sum;
      const double* value = values[k]->data();
      for (std::int64_t i = 0; i < args.value_dim; ++i) row[i] += weight * value[i];
    }
  }
  return out;
}

}  // namespace windlass::test

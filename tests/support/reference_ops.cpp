#include "tests/support/reference_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "cpu_kernels/op_table.h"
#include "src/base/half.h"

namespace windlass::test {
namespace {

std::uint16_t half_at(const std::byte* from) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, from, 2);
  return bits;
}

float float_at(const std::byte* from) {
  float value = 0;
  std::memcpy(&value, from, 4);
  return value;
}

// Weight i of the block that starts at `block`.
float q4_0_weight(const std::byte* block, std::int64_t i) {
  const int byte = std::to_integer<int>(block[2 + i % 16]);
  const int q = i < 16 ? byte & 15 : byte >> 4;
  return f32_from_f16(half_at(block)) * static_cast<float>(q - 8);
}

float q4_1_weight(const std::byte* block, std::int64_t i) {
  const int byte = std::to_integer<int>(block[4 + i % 16]);
  const int q = i < 16 ? byte & 15 : byte >> 4;
  volatile float product = f32_from_f16(half_at(block)) * static_cast<float>(q);  // never fused
  return product + f32_from_f16(half_at(block + 2));
}

float q8_0_weight(const std::byte* block, std::int64_t i) {
  const int q = static_cast<std::int8_t>(std::to_integer<int>(block[2 + i]));
  return f32_from_f16(half_at(block)) * static_cast<float>(q);
}

bool has_own_loop(DType type) {
  switch (type) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ8_0:
      return true;
    default:
      return false;
  }
}

float weight_at(DType type, const std::byte* row, std::int64_t i) {
  switch (type) {
    case DType::kF32:
      return float_at(row + 4 * i);
    case DType::kF16:
      return f32_from_f16(half_at(row + 2 * i));
    case DType::kBF16:
      return f32_from_bf16(half_at(row + 2 * i));
    case DType::kQ4_0:
      return q4_0_weight(row + i / 32 * 18, i % 32);
    case DType::kQ4_1:
      return q4_1_weight(row + i / 32 * 20, i % 32);
    case DType::kQ8_0:
      return q8_0_weight(row + i / 32 * 34, i % 32);
    default:
      throw std::logic_error("no loop of its own for this type");
  }
}

bool sees(const AttentionArgs& args, const KvSegment& segment, std::int64_t token,
          std::int64_t key) {
  return !segment.causal || segment.first_position + key <= args.positions[token];
}

}  // namespace

std::vector<float> reference_dequantize(DType type, const std::byte* row, std::int64_t n) {
  std::vector<float> out(static_cast<std::size_t>(n));
  if (!has_own_loop(type)) {
    cpu_op_table(Isa::kScalar)
        .dequantize_rows[static_cast<std::size_t>(type)]({&row, out.data(), 1, n}, {0, 1});
    return out;
  }
  for (std::int64_t i = 0; i < n; ++i) out[static_cast<std::size_t>(i)] = weight_at(type, row, i);
  return out;
}

Q8Reference reference_quantize(const float* row, std::int64_t width) {
  Q8Reference q8;
  for (std::int64_t first = 0; first < width; first += 32) {
    const std::int64_t n = std::min<std::int64_t>(32, width - first);
    float largest = 0;
    bool finite = true;
    for (std::int64_t i = 0; i < n; ++i) {
      finite = finite && std::isfinite(row[first + i]);
      largest = std::max(largest, std::abs(row[first + i]));
    }
    float scale = finite ? largest / 127.0f : NAN;
    if (finite && std::fpclassify(scale) != FP_NORMAL) scale = 0;
    for (std::int64_t i = 0; i < 32; ++i) {
      const bool stored = finite && scale != 0 && i < n;
      q8.values.push_back(static_cast<std::int8_t>(
          stored ? std::nearbyint(row[first + i] * (127.0f / largest)) : 0));
    }
    q8.scales.push_back(scale);
  }
  return q8;
}

std::vector<double> reference_q8_values(const std::byte* q8_row, std::int64_t width) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < width; ++i) {
    const double scale = float_at(q8_row + q8_values_bytes(width) + i / 32 * 4);
    values.push_back(scale * static_cast<std::int8_t>(std::to_integer<int>(q8_row[i])));
  }
  return values;
}

ProductReference reference_matmul(DType type, const std::byte* weights, std::int64_t row_bytes,
                                  std::int64_t n_out, std::int64_t n_in,
                                  const std::vector<double>& x, std::int64_t n_tokens) {
  ProductReference reference;
  reference.out.resize(static_cast<std::size_t>(n_tokens * n_out));
  reference.norm.resize(reference.out.size());
  for (std::int64_t r = 0; r < n_out; ++r) {
    const std::vector<float> w = reference_dequantize(type, weights + r * row_bytes, n_in);
    for (std::int64_t t = 0; t < n_tokens; ++t) {
      double sum = 0, w2 = 0, x2 = 0;
      for (std::int64_t i = 0; i < n_in; ++i) {
        const double a = w[static_cast<std::size_t>(i)],
                     b = x[static_cast<std::size_t>(t * n_in + i)];
        sum += a * b;
        w2 += a * a;
        x2 += b * b;
      }
      reference.out[static_cast<std::size_t>(t * n_out + r)] = sum;
      reference.norm[static_cast<std::size_t>(t * n_out + r)] = std::sqrt(w2 * x2);
    }
  }
  return reference;
}

std::vector<double> reference_rms_norm(const RmsNormArgs& args) {
  std::vector<double> out;
  for (std::int64_t t = 0; t < args.rows; ++t) {
    double squares = 0;
    for (std::int64_t i = 0; i < args.width; ++i) {
      squares += std::pow(static_cast<double>(args.in[t * args.width + i]), 2);
    }
    const double root = std::sqrt(squares / static_cast<double>(args.width) + args.epsilon);
    for (std::int64_t i = 0; i < args.width; ++i) {
      out.push_back(args.in[t * args.width + i] / root * args.weight[i]);
    }
  }
  return out;
}

std::vector<double> reference_swiglu(const SwiGluArgs& args) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < args.rows * args.width; ++i) {
    const double gate = args.gate[i];
    out.push_back(gate / (1 + std::exp(-gate)) * args.up[i]);
  }
  return out;
}

std::vector<double> reference_rope(const RopeArgs& args) {
  std::vector<double> out(args.x, args.x + args.tokens * args.heads * args.head_dim);
  const std::int64_t pairs = args.dims / 2;
  for (std::int64_t t = 0; t < args.tokens; ++t) {
    for (std::int64_t h = 0; h < args.heads; ++h) {
      double* x = out.data() + (t * args.heads + h) * args.head_dim;
      for (std::int64_t i = 0; i < pairs; ++i) {
        double& first = args.interleaved ? x[2 * i] : x[i];
        double& second = args.interleaved ? x[2 * i + 1] : x[i + pairs];
        const double c = args.cos[t * pairs + i], s = args.sin[t * pairs + i];
        const double a = first, b = second;
        first = a * c - b * s;
        second = a * s + b * c;
      }
    }
  }
  return out;
}

std::vector<double> reference_kv_row(const std::byte* const* pages, std::int64_t slot,
                                     std::int64_t kv_head, bool is_value, bool f16,
                                     std::int64_t kv_heads, std::int64_t head_dim,
                                     std::int64_t page_tokens) {
  const std::int64_t element_bytes = f16 ? 2 : 4;
  const std::int64_t head = (is_value ? kv_heads : 0) + kv_head;
  const std::byte* row = pages[slot / page_tokens] +
                         (head * page_tokens + slot % page_tokens) * head_dim * element_bytes;
  std::vector<double> values;
  for (std::int64_t i = 0; i < head_dim; ++i) {
    values.push_back(f16 ? f32_from_f16(half_at(row + 2 * i)) : float_at(row + 4 * i));
  }
  return values;
}

std::vector<double> reference_attention(const AttentionArgs& args, bool f16) {
  std::vector<double> out(static_cast<std::size_t>(args.tokens * args.heads * args.head_dim), 0.0);
  for (std::int64_t item = 0; item < args.tokens * args.heads; ++item) {
    const std::int64_t t = item / args.heads;
    const std::int64_t g = item % args.heads / (args.heads / args.kv_heads);
    std::vector<double> scores;
    std::vector<std::vector<double>> values;
    for (std::int64_t s = 0; s < args.n_segments; ++s) {
      const KvSegment& segment = args.segments[s];
      for (std::int64_t key = 0; key < segment.n_keys; ++key) {
        if (!sees(args, segment, t, key)) continue;
        const std::vector<double> k = reference_kv_row(
            segment.pages, key, g, false, f16, args.kv_heads, args.head_dim, args.page_tokens);
        double score = 0;
        for (std::int64_t i = 0; i < args.head_dim; ++i) {
          score += k[static_cast<std::size_t>(i)] * args.q[item * args.head_dim + i];
        }
        scores.push_back(score * args.scale);
        values.push_back(reference_kv_row(segment.pages, key, g, true, f16, args.kv_heads,
                                          args.head_dim, args.page_tokens));
      }
    }
    if (scores.empty()) continue;
    const double largest = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (double& score : scores) sum += score = std::exp(score - largest);
    for (std::size_t k = 0; k < scores.size(); ++k) {
      for (std::int64_t i = 0; i < args.head_dim; ++i) {
        out[static_cast<std::size_t>(item * args.head_dim + i)] +=
            scores[k] / sum * values[k][static_cast<std::size_t>(i)];
      }
    }
  }
  return out;
}

}  // namespace windlass::test

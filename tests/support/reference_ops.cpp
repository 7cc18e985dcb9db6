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

const float* vector_of(const Vectors& vectors, std::int64_t row, std::int64_t v) {
  const std::int64_t group = v / vectors.per_group, in_group = v % vectors.per_group;
  return vectors.data + row * vectors.row_stride + group * vectors.group_stride +
         in_group * vectors.vector_stride;
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
  Q8Block block = {};
  for (std::int64_t i = 0; i < width; ++i) {
    if (i % kQ8Block == 0) {
      std::memcpy(&block, q8_row + i / kQ8Block * static_cast<std::int64_t>(sizeof block),
                  sizeof block);
    }
    values.push_back(static_cast<double>(block.scale) * block.values[i % kQ8Block]);
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

std::vector<double> reference_rms_norm(const NormArgs& args) {
  std::vector<double> out;
  for (std::int64_t item = 0; item < args.rows * args.vectors; ++item) {
    const float* in = vector_of(args.in, item / args.vectors, item % args.vectors);
    double squares = 0;
    for (std::int64_t i = 0; i < args.width; ++i) squares += static_cast<double>(in[i]) * in[i];
    const double root = std::sqrt(squares / static_cast<double>(args.width) + args.epsilon);
    for (std::int64_t i = 0; i < args.width; ++i) {
      out.push_back(in[i] / root * (static_cast<double>(args.weight[i]) + args.weight_offset));
    }
  }
  return out;
}

std::vector<double> reference_layer_norm(const NormArgs& args) {
  std::vector<double> out;
  const auto width = static_cast<double>(args.width);
  for (std::int64_t item = 0; item < args.rows * args.vectors; ++item) {
    const float* in = vector_of(args.in, item / args.vectors, item % args.vectors);
    double sum = 0, squares = 0;
    for (std::int64_t i = 0; i < args.width; ++i) sum += in[i];
    for (std::int64_t i = 0; i < args.width; ++i) squares += std::pow(in[i] - sum / width, 2);
    const double root = std::sqrt(squares / width + args.epsilon);
    for (std::int64_t i = 0; i < args.width; ++i) {
      out.push_back((in[i] - sum / width) / root *
                    (static_cast<double>(args.weight[i]) + args.weight_offset));
    }
  }
  return out;
}

std::vector<double> reference_activate(Activation activation, const ActivateArgs& args) {
  const auto f = [&](double x) {
    switch (activation) {
      case Activation::kSilu:
        return x / (1 + std::exp(-x));
      case Activation::kGeluTanh:
        return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
      case Activation::kGeluErf:
        return x / 2 * std::erfc(-x / std::sqrt(2.0));
      case Activation::kRelu:
        return std::max(x, 0.0);
    }
    return std::nan("");
  };
  std::vector<double> out;
  for (std::int64_t t = 0; t < args.rows; ++t) {
    for (std::int64_t i = 0; i < args.width; ++i) {
      const double up = args.up == nullptr ? 1 : args.up[t * args.up_stride + i];
      out.push_back(f(args.in[t * args.in_stride + i]) * up);
    }
  }
  return out;
}

std::vector<double> reference_matmul_transposed(DType type, const MatMulTransposedArgs& args) {
  std::vector<double> out(static_cast<std::size_t>(args.n_tokens * args.n_out), 0.0);
  for (std::int64_t i = 0; i < args.n_in; ++i) {
    const std::vector<float> row =
        reference_dequantize(type, args.weights + i * args.row_bytes, args.n_out);
    for (std::int64_t t = 0; t < args.n_tokens; ++t) {
      for (std::int64_t r = 0; r < args.n_out; ++r) {
        out[static_cast<std::size_t>(t * args.n_out + r)] +=
            static_cast<double>(row[static_cast<std::size_t>(r)]) * args.x[t * args.x_stride + i];
      }
    }
  }
  return out;
}

std::vector<double> reference_rope(const RopeArgs& args) {
  std::vector<double> out;
  const std::int64_t pairs = args.dims / 2;
  for (std::int64_t item = 0; item < args.tokens * args.heads; ++item) {
    const std::int64_t t = item / args.heads;
    const float* in = vector_of(args.x, t, item % args.heads);
    std::vector<double> x(in, in + args.dims);
    for (std::int64_t i = 0; i < pairs; ++i) {
      double& first = x[static_cast<std::size_t>(args.interleaved ? 2 * i : i)];
      double& second = x[static_cast<std::size_t>(args.interleaved ? 2 * i + 1 : i + pairs)];
      const double c = args.cos[t * pairs + i], s = args.sin[t * pairs + i];
      const double a = first, b = second;
      first = a * c - b * s;
      second = a * s + b * c;
    }
    out.insert(out.end(), x.begin(), x.end());
  }
  return out;
}

}  // namespace windlass::test

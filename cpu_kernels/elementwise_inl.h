// Norms, sums, scales, RoPE, the q8 form of activations, row lookup: the ops that touch
// each value once. For inclusion by isa_*.cpp alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/common_inl.h"
#include "cpu_kernels/formats_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

// Of x - mean.
template <class V>
inline float sum_of_squares(const float* x, std::int64_t n, float mean) {
  constexpr int kSums = 4;  // independent sums hide the latency of the multiply-add
  const typename V::F shift = V::set1(mean);
  typename V::F sum[kSums] = {V::zero(), V::zero(), V::zero(), V::zero()};
  std::int64_t i = 0;
  for (; i + kSums * V::kLanes <= n; i += kSums * V::kLanes) {
    for (int k = 0; k < kSums; ++k) {
      const typename V::F value = V::sub(V::load(x + i + k * V::kLanes), shift);
      sum[k] = V::fma(value, value, sum[k]);
    }
  }
  float means[V::kLanes];  // zeros minus zeros in the lanes past the end
  V::store(means, shift);
  for (; i < n; i += V::kLanes) {
    const typename V::F value = V::sub(V::load_n(x + i, n - i), V::load_n(means, n - i));
    sum[0] = V::fma(value, value, sum[0]);
  }
  return V::sum(V::add(V::add(sum[0], sum[1]), V::add(sum[2], sum[3])));
}

// out = (in - shift) * scale * (weight + offset)
template <class V>
inline void scale_row(const NormArgs& args, const float* in, float* out, float shift, float scale) {
  const typename V::F shifts = V::set1(shift), scales = V::set1(scale);
  const typename V::F offset = V::set1(args.weight_offset);
  for (std::int64_t i = 0; i < args.width; i += V::kLanes) {
    const std::int64_t n = args.width - i;
    const typename V::F value = V::mul(V::sub(V::load_n(in + i, n), shifts), scales);
    V::store_n(out + i, V::mul(value, V::add(V::load_n(args.weight + i, n), offset)), n);
  }
}

template <class V>
void rms_norm(const NormArgs& args, WorkRange range) {
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    for (std::int64_t h = 0; h < args.vectors; ++h) {
      const float* in = vector_at(args.in, row, h);
      const float mean = sum_of_squares<V>(in, args.width, 0.0f) / static_cast<float>(args.width);
      const float scale = 1.0f / __builtin_sqrtf(mean + args.epsilon);
      scale_row<V>(args, in, vector_at(args.out, row, h), 0.0f, scale);
    }
  }
}

template <class V>
inline float sum_of(const float* x, std::int64_t n) {
  typename V::F sum = V::zero();
  for (std::int64_t i = 0; i < n; i += V::kLanes) sum = V::add(sum, V::load_n(x + i, n - i));
  return V::sum(sum);
}

template <class V>
void layer_norm(const NormArgs& args, WorkRange range) {
  const float width = static_cast<float>(args.width);
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    for (std::int64_t h = 0; h < args.vectors; ++h) {
      const float* in = vector_at(args.in, row, h);
      const float mean = sum_of<V>(in, args.width) / width;
      const float variance = sum_of_squares<V>(in, args.width, mean) / width;
      const float scale = 1.0f / __builtin_sqrtf(variance + args.epsilon);
      scale_row<V>(args, in, vector_at(args.out, row, h), mean, scale);
    }
  }
}

template <class V>
void add(const AddArgs& args, WorkRange range) {
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    const float* in = args.in + row * args.in_stride;
    float* out = args.out + row * args.out_stride;
    for (std::int64_t i = 0; i < args.width; i += V::kLanes) {
      const std::int64_t n = args.width - i;
      V::store_n(out + i, V::add(V::load_n(out + i, n), V::load_n(in + i, n)), n);
    }
  }
}

template <class V>
void scale(const ScaleArgs& args, WorkRange range) {
  const typename V::F factor = V::set1(args.scale), cap = V::set1(args.soft_cap);
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    float* x = args.x + row * args.stride;
    for (std::int64_t i = 0; i < args.width; i += V::kLanes) {
      const std::int64_t n = args.width - i;
      const typename V::F scaled = V::mul(V::load_n(x + i, n), factor);
      V::store_n(x + i, args.soft_cap > 0 ? soft_cap<V>(scaled, cap) : scaled, n);
    }
  }
}

template <class V>
inline void rotate_halves(float* x, const float* cos, const float* sin, std::int64_t pairs) {
  for (std::int64_t i = 0; i < pairs; i += V::kLanes) {
    const std::int64_t n = pairs - i;
    const typename V::F c = V::load_n(cos + i, n), s = V::load_n(sin + i, n);
    const typename V::F a = V::load_n(x + i, n), b = V::load_n(x + pairs + i, n);
    V::store_n(x + i, V::sub(V::mul(a, c), V::mul(b, s)), n);
    V::store_n(x + pairs + i, V::add(V::mul(a, s), V::mul(b, c)), n);
  }
}

inline void rotate_neighbours(float* __restrict x, const float* __restrict cos,
                              const float* __restrict sin, std::int64_t pairs) {
  for (std::int64_t i = 0; i < pairs; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = a * cos[i] - b * sin[i];
    x[2 * i + 1] = a * sin[i] + b * cos[i];
  }
}

template <class V>
void rope(const RopeArgs& args, WorkRange range) {
  const std::int64_t pairs = args.dims / 2;
  for (std::int64_t t = range.begin; t < range.end; ++t) {
    const float* cos = args.cos + t * pairs;
    const float* sin = args.sin + t * pairs;
    for (std::int64_t head = 0; head < args.heads; ++head) {
      float* x = vector_at(args.x, t, head);
      if (args.out.data != nullptr) {
        float* out = vector_at(args.out, t, head);
        for (std::int64_t i = 0; i < args.dims; ++i) out[i] = x[i];
        x = out;
      }
      if (args.interleaved) {
        rotate_neighbours(x, cos, sin, pairs);
      } else {
        rotate_halves<V>(x, cos, sin, pairs);
      }
    }
  }
}

// 32 values (zeros beyond n) to a block.
template <class V>
inline void quantize_block(const float* x, std::int64_t n, Q8Block* out) {
  typename V::I largest_bits = V::zero_i();
  for (int i = 0; i < 32; i += V::kLanes) {
    largest_bits = V::max_i(largest_bits, V::abs_bits(V::load_n(x + i, larger(n - i, 0))));
  }
  const std::int32_t bits =
      V::max_lane_i(largest_bits);  // ordered as the values, NaN above infinity
  float largest;
  __builtin_memcpy(&largest, &bits, sizeof largest);
  float scale = bits >= 0x7f800000 ? __builtin_nanf("") : largest / 127.0f;
  if (scale < __FLT_MIN__) scale = 0.0f;  // its inverse would overflow: such a block is zero
  std::int32_t sums[2] = {};
  if (scale > 0.0f) {
    const typename V::F inverse = V::set1(127.0f / largest);
    for (int half = 0; half < 2; ++half) {
      typename V::I sum = V::zero_i();
      for (int i = 16 * half; i < 16 * half + 16; i += V::kLanes) {
        const typename V::I q = V::to_i32(V::mul(V::load_n(x + i, larger(n - i, 0)), inverse));
        V::store_i8(out->values + i, q);
        sum = V::add_i(sum, q);
      }
      sums[half] = V::sum_i(sum);
    }
  } else {
    __builtin_memset(out->values, 0, sizeof out->values);
  }
  out->scale = scale;
  out->scale_sum = scale * static_cast<float>(sums[0] + sums[1]);
  out->start = kQ8Magic - 128 * (sums[0] + sums[1]);
  for (int half = 0; half < 2; ++half) {
    out->half_sums[half] = scale * static_cast<float>(sums[half]);
    out->half_starts[half] = kQ8Magic - 128 * sums[half];
  }
  out->unused = 0;
}

template <class V>
void quantize_rows(const QuantizeRowsArgs& args, WorkRange range) {
  const Q8Layout layout = args.layout.row_bytes > 0 ? args.layout : q8_rows(args.width);
  const std::int64_t in_stride = args.in_stride > 0 ? args.in_stride : args.width;
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    std::byte* out = args.out + row * layout.row_bytes;
    for (std::int64_t b = 0; b < q8_blocks(args.width); ++b) {
      quantize_block<V>(args.in + row * in_stride + b * 32, args.width - b * 32,
                        reinterpret_cast<Q8Block*>(out + b * layout.block_bytes));
    }
  }
}

template <class V>
void dequantize_rows_of(const DequantizeRowsArgs& args, WorkRange range, const FloatForm& form) {
  for (std::int64_t row = range.begin; row < range.end; ++row) {
    const std::uint8_t* from = reinterpret_cast<const std::uint8_t*>(args.rows[row]);
    float* out = args.out + row * args.width;
    const std::int64_t whole = args.width / V::kLanes * V::kLanes;
    form.dequantize(from, out, whole);
    if (whole == args.width) continue;
    float last[V::kLanes];  // the vector would write past the row; only types of one weight a block
                            // get here
    form.dequantize(from + whole * form.block_bytes, last, args.width - whole);
    for (std::int64_t i = whole; i < args.width; ++i) out[i] = last[i - whole];
  }
}

template <class V, DType kType>
void dequantize_rows(const DequantizeRowsArgs& args, WorkRange range) {
  dequantize_rows_of<V>(args, range, float_form<V, kType>());
}

}  // namespace
}  // namespace windlass

// F32, F16 and BF16: one number a weight. For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/format.h"

namespace windlass {
namespace {

template <class V, class Load>
inline void dequantize_floats(const std::uint8_t* from, float* out, std::int64_t n,
                              std::int64_t bytes, Load load) {
  std::int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) V::store(out + i, load(from + i * bytes));
  if (i >= n) return;
  // The vector would read past the row: go through a copy.
  std::uint8_t last[V::kLanes * 4] = {};
  __builtin_memcpy(last, from + i * bytes, static_cast<std::size_t>((n - i) * bytes));
  V::store(out + i, load(last));
}

template <>
struct Format<DType::kF32> {
  static constexpr std::int64_t kBlockWeights = 1, kBlockBytes = 4;
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    dequantize_floats<V>(from, out, n, kBlockBytes,
                         [](const std::uint8_t* at) { return V::load_raw(at); });
  }
};

template <>
struct Format<DType::kF16> {
  static constexpr std::int64_t kBlockWeights = 1, kBlockBytes = 2;
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    dequantize_floats<V>(from, out, n, kBlockBytes,
                         [](const std::uint8_t* at) { return V::load_f16(at); });
  }
};

template <>
struct Format<DType::kBF16> {
  static constexpr std::int64_t kBlockWeights = 1, kBlockBytes = 2;
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    dequantize_floats<V>(from, out, n, kBlockBytes,
                         [](const std::uint8_t* at) { return V::load_bf16(at); });
  }
};

}  // namespace
}  // namespace windlass

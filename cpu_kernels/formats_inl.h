// How the weights of each tensor type lie in memory (GGUF block layouts), as traits that the op
// bodies take. For inclusion by isa_*.cpp alone.
#pragma once

#include <cstdint>

#include "cpu_kernels/common_inl.h"

namespace windlass {
namespace {

struct FormatF32 {
  static constexpr std::int64_t kBlockWeights = 1, kBlockBytes = 4;
  template <class V>
  static typename V::F load(const std::uint8_t* from) {
    return V::load_raw(from);
  }
};

struct FormatF16 {
  static constexpr std::int64_t kBlockWeights = 1, kBlockBytes = 2;
  template <class V>
  static typename V::F load(const std::uint8_t* from) {
    return V::load_f16(from);
  }
};

struct FormatBf16 {
  static constexpr std::int64_t kBlockWeights = 1, kBlockBytes = 2;
  template <class V>
  static typename V::F load(const std::uint8_t* from) {
    return V::load_bf16(from);
  }
};

template <class V, class Format>
inline void dequantize_plain(const std::uint8_t* from, float* out, std::int64_t n) {
  std::int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    V::store(out + i, Format::template load<V>(from + i * Format::kBlockBytes));
  }
  if (i >= n) return;
  // The vector would read past the row: go through a copy.
  std::uint8_t last[V::kLanes * 4] = {};
  __builtin_memcpy(last, from + i * Format::kBlockBytes,
                   static_cast<std::size_t>((n - i) * Format::kBlockBytes));
  V::store(out + i, Format::template load<V>(last));
}

// f16 d, [f16 m,] 16 bytes: weight i in the low nibble of byte i, weight 16 + i in its high nibble.
// w = d * (q - 8) for Q4_0, d * q + m for Q4_1.
struct FormatQ4_0 {
  static constexpr std::int64_t kBlockWeights = 32, kBlockBytes = 18, kDataOffset = 2;
  static constexpr bool kNibbles = true;
  template <class V>
  static typename V::F value(typename V::I q, typename V::F d, typename V::F) {
    return V::mul(V::to_f32(V::sub_8(q)), d);
  }
  // The part of a weight that multiplies the plain sum of activations; the rest is d * q.
  template <class V>
  static typename V::F offset(typename V::F d, const std::uint8_t* const*, std::int64_t) {
    return V::mul(d, V::set1(-8.0f));
  }
};

struct FormatQ4_1 {
  static constexpr std::int64_t kBlockWeights = 32, kBlockBytes = 20, kDataOffset = 4;
  static constexpr bool kNibbles = true;
  template <class V>
  static typename V::F value(typename V::I q, typename V::F d, typename V::F m) {
    return V::add(V::mul(V::to_f32(q), d), m);
  }
  template <class V>
  static typename V::F offset(typename V::F, const std::uint8_t* const* rows, std::int64_t at) {
    return V::load_scales(rows, at + 2);
  }
};

// f16 d, 32 signed bytes: w = d * q.
struct FormatQ8_0 {
  static constexpr std::int64_t kBlockWeights = 32, kBlockBytes = 34, kDataOffset = 2;
  static constexpr bool kNibbles = false;
  template <class V>
  static typename V::F offset(typename V::F d, const std::uint8_t* const*, std::int64_t) {
    return V::mul(d, V::set1(static_cast<float>(-V::kZeroPoint8)));
  }
};

template <class V, class Format>
inline void dequantize_nibbles(const std::uint8_t* from, float* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += 32, from += Format::kBlockBytes) {
    const typename V::F d = V::broadcast_f16(from);
    const typename V::F m = V::broadcast_f16(from + Format::kDataOffset - 2);
    for (int j = 0; j < 16; j += V::kLanes) {
      const typename V::I bytes = V::load_u8(from + Format::kDataOffset + j);
      V::store(out + i + j, Format::template value<V>(V::low_nibble(bytes), d, m));
      V::store(out + i + 16 + j, Format::template value<V>(V::high_nibble(bytes), d, m));
    }
  }
}

template <class V>
inline void dequantize_q8_0(const std::uint8_t* from, float* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += 32, from += FormatQ8_0::kBlockBytes) {
    const typename V::F d = V::broadcast_f16(from);
    for (int j = 0; j < 32; j += V::kLanes) {
      V::store(out + i + j, V::mul(V::to_f32(V::load_i8(from + 2 + j)), d));
    }
  }
}

// n weights of one row to float, with the roundings of the reference (multiply, then add: never
// fused). REQUIRES: whole blocks. Writes round_up(n, kLanes) floats, zeros beyond n.
template <class V, class Format>
inline void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
  if constexpr (Format::kBlockWeights == 1) {
    dequantize_plain<V, Format>(from, out, n);
  } else if constexpr (Format::kNibbles) {
    dequantize_nibbles<V, Format>(from, out, n);
  } else {
    dequantize_q8_0<V>(from, out, n);
  }
}

}  // namespace
}  // namespace windlass

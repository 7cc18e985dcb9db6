// What all products of quantised weights with q8 activations share: how codes of a group (those
// weights that share a scale, 32 or 16) are multiplied, and what becomes of the integer sum. For
// inclusion by isa_*.cpp alone.
//
// weight = d * (code - zero) + offset, dot = sum of (code - zero) * value, and a group adds
//   sum = fma(round(d * dot), scale, sum), then fma(offset, scale_sum, sum) where there are
//   offsets.
// The integer sum begins at kQ8Magic less zero * sum(values), so that it ends as the bits of the
// float 1.5 * 2^23 + dot: |dot| is at most 32 * 255 * 128, a quarter of what has room there. Then
// fma(that, d, -1.5 * 2^23 * d) is round(d * dot), as the constant's product is exact: conversion,
// product and zero point in one operation. Every path makes these operations in this order for a
// (row, token) pair, so one token or many, and any split of the rows, give bit-identical results.
#pragma once

#include <cstdint>

#include "cpu_kernels/common_inl.h"
#include "cpu_kernels/formats_inl.h"
#include "src/ops/op_args.h"

namespace windlass {
namespace {

// How codes are multiplied; what follows depends on a type through this alone.
template <Codes kCodes_, int kScaleWeights, int kZero_, bool kHasOffset_>
struct Q8Kind {
  static constexpr Codes kCodes = kCodes_;
  static constexpr int kGroups = 32 / kScaleWeights;  // in a block
  static constexpr int kGroupSteps = 8 / kGroups;     // of four weights
  static constexpr int kZero = kZero_;
  static constexpr bool kHasOffset = kHasOffset_;
};

// Signed codes are turned into what the layer's dot8 takes.
template <class V, DType kType>
inline constexpr int kZeroOf =
    Format<kType>::kCodes == Codes::kSigned8 ? V::kZeroPoint8 : Format<kType>::kZeroPoint;

template <class V, DType kType>
using Q8KindOf = Q8Kind<Format<kType>::kCodes, Format<kType>::kScaleWeights, kZeroOf<V, kType>,
                        Format<kType>::kHasOffset>;

// Layers that take signed weights with 128 added are those whose byte dots sum into 32 bits in one
// instruction, of any unsigned weights.
template <class V>
inline constexpr bool kByteDots = V::kZeroPoint8 == 128;

// Where byte dots take any unsigned weights, codes are shifted up until their zero point is 128,
// whose share of a sum is ready in the activations; the scales are shifted down.
template <class V, DType kType>
inline constexpr int kCodeShift = kByteDots<V>&& kZeroOf<V, kType> > 0
                                      ? __builtin_ctz(128 / kZeroOf<V, kType>)
                                      : 0;

// What load_steps and load_scaled make of a type.
template <class V, DType kType>
using StepKindOf =
    Q8Kind<kByteDots<V> ? Codes::kUnsigned7 : Format<kType>::kCodes, Format<kType>::kScaleWeights,
           kZeroOf<V, kType> << kCodeShift<V, kType>, Format<kType>::kHasOffset>;

// The integer sums of one group.
template <class V, Codes kCodes>
struct GroupDot {
  using Sum = typename V::I;
  static Sum begin(typename V::I start) { return start; }
  static Sum dot(Sum sum, typename V::B weights, typename V::B acts) {
    if constexpr (kCodes == Codes::kSigned8) return V::dot8(sum, weights, acts);
    if constexpr (kCodes != Codes::kSigned8) return V::dot7(sum, weights, acts);
  }
  // The same four activations for all lanes.
  static Sum dot_at(Sum sum, typename V::B weights, const std::int8_t* acts) {
    if constexpr (kByteDots<V>) return V::dot_at(sum, weights, acts);
    if constexpr (!kByteDots<V>) return dot(sum, weights, V::broadcast4(acts));
  }
  static typename V::I finish(Sum sum, typename V::I) { return sum; }
};

template <class V>
requires(!kByteDots<V>) struct GroupDot<V, Codes::kUnsigned4> {
  using Sum = typename V::Acc4;
  static Sum begin(typename V::I) { return V::zero_acc4(); }
  static Sum dot(Sum sum, typename V::B weights, typename V::B acts) {
    return V::dot4(sum, weights, acts);
  }
  static Sum dot_at(Sum sum, typename V::B weights, const std::int8_t* acts) {
    return dot(sum, weights, V::broadcast4(acts));
  }
  static typename V::I finish(Sum sum, typename V::I start) {
    return V::add_i(V::finish4(sum), start);
  }
};

// Where the sum of one group begins.
template <class Kind>
[[gnu::always_inline]] inline std::int32_t group_start(const Q8Block& x, int group) {
  if constexpr (Kind::kZero == 0) {
    return kQ8Magic;
  } else {
    constexpr std::int32_t kShare = 128 / Kind::kZero;
    static_assert(kShare * Kind::kZero == 128);
    const std::int32_t start = Kind::kGroups == 1 ? x.start : x.half_starts[group];
    return kQ8Magic + (start - kQ8Magic) / kShare;
  }
}

// scale * sum of the values of one group.
template <class Kind>
[[gnu::always_inline]] inline float group_sum(const Q8Block& x, int group) {
  return Kind::kGroups == 1 ? x.scale_sum : x.half_sums[group];
}

// What `scaled` takes off the float 1.5 * 2^23 + dot, times d.
template <class V>
[[gnu::always_inline]] inline typename V::F minus_magic(typename V::F d) {
  return V::mul(d, V::set1(-12582912.0f));
}

// round(d * dot) of a sum that began at kQ8Magic. A layer of one lane has no fused operation.
template <class V>
[[gnu::always_inline]] inline typename V::F scaled(typename V::I dot, typename V::F d,
                                                   typename V::F minus) {
  if constexpr (V::kLanes == 1) return V::mul(V::to_f32(V::add_i(dot, -kQ8Magic)), d);
  return V::fma(V::from_bits(dot), d, minus);
}

template <class V, class Kind>
[[gnu::always_inline]] inline typename V::F add_group(typename V::F sum, typename V::I dot,
                                                      typename V::F d, typename V::F minus,
                                                      typename V::F offset, const Q8Block& x,
                                                      int group) {
  sum = V::fma(scaled<V>(dot, d, minus), V::set1(x.scale), sum);
  if constexpr (Kind::kHasOffset) sum = V::fma(offset, V::set1(group_sum<Kind>(x, group)), sum);
  return sum;
}

template <DType kType>
inline constexpr int kScalesOf =
    static_cast<int>(Format<kType>::kBlockWeights) / Format<kType>::kScaleWeights;

// A type's codes and scales as the dots take them.
template <class V, DType kType>
[[gnu::always_inline]] inline void load_steps(const std::uint8_t* const* rows, std::int64_t at,
                                              int part, typename V::B* steps) {
  using Type = Format<kType>;
  constexpr int kSteps = 8 * Type::kPartBlocks, kShift = kCodeShift<V, kType>;
  if constexpr (kShift == 4) {
    Type::template load_codes_times_16<V>(rows, at, part, steps);
  } else {
    Type::template load_codes<V>(rows, at, part, steps);
#pragma GCC unroll 32
    for (int j = 0; j < kSteps; ++j) {
      if constexpr (Type::kCodes == Codes::kSigned8) steps[j] = V::prepare8(steps[j]);
      if constexpr (kShift > 0) steps[j] = V::shift_left(steps[j], kShift);
    }
  }
}
template <class V, DType kType>
[[gnu::always_inline]] inline typename V::F shifted_scale(typename V::F d) {
  constexpr int kShift = kCodeShift<V, kType>;
  return kShift > 0 ? V::mul(d, V::set1(1.0f / (1 << kShift))) : d;
}
template <class V, DType kType>
[[gnu::always_inline]] inline void load_scales(const std::uint8_t* const* rows, std::int64_t at,
                                               typename V::F* d, typename V::F* offset) {
  Format<kType>::template load_scales<V>(rows, at, d, offset);
#pragma GCC unroll 16
  for (int s = 0; s < kScalesOf<kType>; ++s) d[s] = shifted_scale<V, kType>(d[s]);
}

inline const Q8Block* q8_row(const MatMulArgs& args, std::int64_t token) {
  const std::int64_t stride =
      args.x_stride_bytes > 0 ? args.x_stride_bytes : q8_row_bytes(args.n_in);
  return reinterpret_cast<const Q8Block*>(static_cast<const std::byte*>(args.x) + token * stride);
}

// Between a token's blocks, in blocks.
inline std::int64_t q8_block_stride(const MatMulArgs& args) {
  return args.x_block_bytes > 0 ? args.x_block_bytes / static_cast<std::int64_t>(sizeof(Q8Block))
                                : 1;
}

// Pointers to N rows, `walk` apart, from `first` on; those past `end` repeat the last, and their
// results are dropped.
template <int N>
inline void row_pointers(const MatMulArgs& args, std::int64_t first, std::int64_t walk,
                         std::int64_t end, const std::uint8_t** rows) {
  const std::uint8_t* base = reinterpret_cast<const std::uint8_t*>(args.weights);
  for (int r = 0; r < N; ++r) rows[r] = base + smaller(first + r * walk, end - 1) * args.row_bytes;
}

}  // namespace
}  // namespace windlass

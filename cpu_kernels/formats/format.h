// What a weight type is to the op bodies: a specialisation of Format in a file of this folder. For
// inclusion by isa_*.cpp alone.
//
// Every Format has kBlockWeights, kBlockBytes and
//   dequantize<V>(from, out, n): n weights of one row to float, with the roundings of ggml's
//     reference (a product, then a sum: never fused). REQUIRES: whole blocks. Types of one weight a
//     block write round_up(n, kLanes) floats, zeros beyond n.
// One that multiplies with q8 activations also has
//   kCodes: what the bytes of load_codes are;
//   kScaleWeights: how many weights share a scale, 32 or 16;
//   kZeroPoint: what unsigned codes have added, a power of two, or 0;
//   kHasOffset: whether weights have an offset, such that
//     weight = d * (code - kZeroPoint) [+ offset];
//   kPartBlocks: how many q8 blocks of 32 weights load_codes unpacks at once;
//   load_scales<V>(rows, at, d, offset): of the block at byte `at` of kLanes rows; one of each for
//     kScaleWeights weights. Written alone where kHasOffset: offset.
//   load_codes<V>(rows, at, part, steps): the codes of part `part` of that block; steps[8 * b + j]
//     holds codes 4j .. 4j+3 of its q8 block b, for kLanes rows.
// One whose blocks begin with their only scales inherits HeadScales, and has kHeadApart where
// load_codes leaves these bytes alone: then copies of them cost less than their lanes
// (ThinScales).
// d times 1.5 * 2^23 has to be a float, and exact: 22 bits of mantissa are what d may have.
#pragma once

#include <cstdint>
#include <type_traits>

#include "cpu_kernels/common_inl.h"
#include "src/base/dtype.h"

namespace windlass {
namespace {

template <DType kType>
struct Format;

enum class Codes : std::uint8_t {
  kUnsigned4,  // below 16
  kUnsigned7,  // below 128
  kSigned8,
};

template <class V>
inline float half_at(const std::uint8_t* from) {
  return V::first(V::broadcast_f16(from));
}

// Of blocks of 32 weights that begin with their f16 d and, where there is an offset, with its f16.
template <bool kHasOffset_>
struct HeadScales {
  static constexpr std::int64_t kBlockWeights = 32;
  static constexpr int kScaleWeights = 32, kPartBlocks = 1;
  static constexpr bool kHasOffset = kHasOffset_;
  using Head = std::conditional_t<kHasOffset, std::uint32_t, std::uint16_t>;
  template <class V>
  [[gnu::always_inline]] static void load_scales(const std::uint8_t* const* rows, std::int64_t at,
                                                 typename V::F* d, typename V::F* offset) {
    split<V>(V::load_dwords(rows, at), d, offset);
  }
  // From copies of what kLanes rows' blocks begin with.
  template <class V>
  [[gnu::always_inline]] static void load_copied_scales(const Head* heads, typename V::F* d,
                                                        typename V::F* offset) {
    if constexpr (kHasOffset) split<V>(V::load_b(heads), d, offset);
    if constexpr (!kHasOffset) *d = V::load_f16(heads);
  }

 private:
  template <class V>
  [[gnu::always_inline]] static void split(typename V::I head, typename V::F* d,
                                           typename V::F* offset) {
    *d = V::f16_low(head);
    if constexpr (kHasOffset) *offset = V::f16_low(V::shift_right(head, 16));
  }
};

// Byte k of each lane, unsigned.
template <class V>
inline typename V::I byte_of(typename V::I value, int k) {
  return V::and_i(V::shift_right(value, 8 * k), V::set1_i(255));
}

// (value >> n) & mask in every byte. REQUIRES: the mask leaves no bit of a neighbouring byte.
template <class V>
inline typename V::I bits_right(typename V::I value, int n, std::uint32_t mask) {
  return V::and_i(V::shift_right(value, n), V::set1_i(static_cast<std::int32_t>(mask)));
}
template <class V>
inline typename V::I bits_left(typename V::I value, int n, std::uint32_t mask) {
  return V::and_i(V::shift_left(value, n), V::set1_i(static_cast<std::int32_t>(mask)));
}

}  // namespace
}  // namespace windlass

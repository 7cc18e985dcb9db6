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
// d times 1.5 * 2^23 has to be a float, and exact: 22 bits of mantissa are what d may have.
#pragma once

#include <cstdint>

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

// Bytes at + 16 * i of kLanes rows, for i below n.
template <class V>
[[gnu::always_inline]] inline void load_sixteens(const std::uint8_t* const* rows, std::int64_t at,
                                                 int n, typename V::B* out) {
  for (int i = 0; i < n; ++i) V::load_rows16(rows, at + 16 * i, out + 4 * i);
}

}  // namespace
}  // namespace windlass

// IQ1, IQ2 and IQ3: vectors of 8 weights (of 4 in IQ3) from a codebook, in blocks of 256. Lanes ask
// for different vectors, so the books are in global memory (the largest has 16 KiB, and stays in
// L1); constant memory would answer one address at a time.
#pragma once

#include "kernels/formats/decoder.h"
#include "src/ops/codebook_data.h"

namespace windlass {

static __device__ const auto kBookIq2Xxs = codebook_data::kIq2Xxs;
static __device__ const auto kBookIq2Xs = codebook_data::kIq2Xs;
static __device__ const auto kBookIq2S = codebook_data::kIq2S;
static __device__ const auto kBookIq3Xxs = codebook_data::kIq3Xxs;
static __device__ const auto kBookIq3S = codebook_data::kIq3S;
static __device__ const auto kBookIq1 = codebook_data::kIq1;

// Weights 4 * half and on of a vector.
template <int kSize>
__device__ std::uint32_t four_of(const Codebook<std::uint64_t, kSize>& book, std::uint32_t index,
                                 int half) {
  return reinterpret_cast<const std::uint32_t*>(book.vectors)[2 * index + half];
}

// Four magnitudes, none of them 0, negative where the lowest four of `bits` are set: no byte
// carries into the next.
inline __device__ std::uint32_t with_signs(std::uint32_t magnitudes, std::uint32_t bits) {
  // Shifted by 0, 7, 14 and 21, bit k of four comes to bit 8 * k once, and no two to the same.
  const std::uint32_t ones = (bits & 15u) * 0x00204081u & 0x01010101u;
  return (magnitudes ^ ones * 255u) + ones;
}

// The 8 signs of which 7 are stored: the eighth makes their number even.
inline __device__ std::uint32_t even_signs(std::uint32_t bits) {
  return (bits & 127u) | (static_cast<std::uint32_t>(__popc(bits & 127u)) & 1u) << 7;
}

inline __device__ Group iq2_group(float d, std::uint32_t scale) {
  return {d * (0.5f + static_cast<float>(scale)) * 0.25f, 0};
}

// Types of vectors of 8: kType::vector(block, part, k) gives codes 8k to 8k + 7 of a part, of which
// `half` chooses four.
template <class Type>
struct VectorsOf8 {
  static constexpr int kWeights = 256;
  static constexpr bool kHasOffset = false;
  template <class From>
  static __device__ CodePair codes(From block, int part, int j) {
    return {Type::four(block, part, j / 2, j % 2), Type::four(block, part, 2 + j / 2, j % 2)};
  }
};

// f16 d, then for 32 weights 4 bytes of codebook indices and 32 bits: 4 times 7 signs, the scale.
template <>
struct Decoder<DType::kIQ2_XXS> : VectorsOf8<Decoder<DType::kIQ2_XXS>> {
  static constexpr int kBytes = 66, kGroups = 1;
  template <class From>
  static __device__ std::uint32_t four(From block, int part, int k, int half) {
    const std::uint32_t bits = load_u32(block + (6 + 8 * part));
    return with_signs(four_of(kBookIq2Xxs, block[2 + 8 * part + k], half),
                      even_signs(bits >> (7 * k)) >> (4 * half));
  }
  template <class From>
  static __device__ Group group(From block, int part, int) {
    return iq2_group(load_half(block), load_u32(block + (6 + 8 * part)) >> 28);
  }
};

// f16 d, 32 times 16 bits (9 of codebook index, 7 signs), 8 bytes of two scales.
template <>
struct Decoder<DType::kIQ2_XS> : VectorsOf8<Decoder<DType::kIQ2_XS>> {
  static constexpr int kBytes = 74, kGroups = 2;
  template <class From>
  static __device__ std::uint32_t four(From block, int part, int k, int half) {
    const std::uint32_t word = load_u16(block + (2 + 8 * part + 2 * k));
    return with_signs(four_of(kBookIq2Xs, word & 511u, half), even_signs(word >> 9) >> (4 * half));
  }
  template <class From>
  static __device__ Group group(From block, int part, int half) {
    return iq2_group(load_half(block), block[66 + part] >> (4 * half) & 15u);
  }
};

// f16 d, 32 low bytes of codebook indices, 32 bytes of signs, 8 bytes with the high 2 bits of four
// indices each, 8 bytes of two scales.
template <>
struct Decoder<DType::kIQ2_S> : VectorsOf8<Decoder<DType::kIQ2_S>> {
  static constexpr int kBytes = 82, kGroups = 2;
  template <class From>
  static __device__ std::uint32_t four(From block, int part, int k, int half) {
    const std::uint32_t high = block[66 + part] >> (2 * k) & 3u;
    return with_signs(four_of(kBookIq2S, block[2 + 4 * part + k] | high << 8, half),
                      block[34 + 4 * part + k] >> (4 * half));
  }
  template <class From>
  static __device__ Group group(From block, int part, int half) {
    return iq2_group(load_half(block), block[74 + part] >> (4 * half) & 15u);
  }
};

// Types of vectors of 4.
template <class Type>
struct VectorsOf4 {
  static constexpr int kWeights = 256, kGroups = 1;
  static constexpr bool kHasOffset = false;
  template <class From>
  static __device__ CodePair codes(From block, int part, int j) {
    return {Type::four(block, part, j), Type::four(block, part, 4 + j)};
  }
};

// f16 d, 64 codebook indices, then for 32 weights 32 bits: 4 times 7 signs, the scale.
template <>
struct Decoder<DType::kIQ3_XXS> : VectorsOf4<Decoder<DType::kIQ3_XXS>> {
  static constexpr int kBytes = 98;
  template <class From>
  static __device__ std::uint32_t four(From block, int part, int k) {
    const std::uint32_t bits = load_u32(block + (66 + 4 * part));
    return with_signs(kBookIq3Xxs.vectors[block[2 + 8 * part + k]],
                      even_signs(bits >> (k / 2 * 7)) >> (k % 2 * 4));
  }
  template <class From>
  static __device__ Group group(From block, int part, int) {
    const std::uint32_t scale = load_u32(block + (66 + 4 * part)) >> 28;
    return {load_half(block) * (0.5f + static_cast<float>(scale)) * 0.5f, 0};
  }
};

// f16 d, 64 low bytes of codebook indices, 8 bytes with their ninth bits, 32 bytes of signs, 4
// bytes of two scales.
template <>
struct Decoder<DType::kIQ3_S> : VectorsOf4<Decoder<DType::kIQ3_S>> {
  static constexpr int kBytes = 110;
  template <class From>
  static __device__ std::uint32_t four(From block, int part, int k) {
    const std::uint32_t ninth = block[66 + part] >> k & 1u;
    return with_signs(kBookIq3S.vectors[block[2 + 8 * part + k] | ninth << 8],
                      block[74 + 4 * part + k / 2] >> (k % 2 * 4));
  }
  template <class From>
  static __device__ Group group(From block, int part, int) {
    const std::uint32_t scale = block[106 + part / 2] >> (part % 2 * 4) & 15u;
    return {load_half(block) * static_cast<float>(1 + 2 * scale), 0};
  }
};

// Weights of -1, 0, 1, shifted by an eighth up or down: codes are 8 times them.
inline __device__ std::uint32_t iq1_four(std::uint32_t index, bool down, int half) {
  constexpr std::uint32_t kLow = 0x7f7f7f7fu;  // top bits are added without the carry
  const std::uint32_t four = four_of(kBookIq1, index, half), delta = down ? ~0u : 0x01010101u;
  return ((four & kLow) + (delta & kLow)) ^ ((four ^ delta) & ~kLow);
}
inline __device__ Group iq1_group(float d, std::uint32_t scale) {
  return {d * static_cast<float>(2 * scale + 1) * 0.125f, 0};
}

// f16 d, 32 low bytes of codebook indices, then 16 bits for 32 weights: 4 times 3 high bits of an
// index, the scale, the sign of the shift.
template <>
struct Decoder<DType::kIQ1_S> : VectorsOf8<Decoder<DType::kIQ1_S>> {
  static constexpr int kBytes = 50, kGroups = 1;
  template <class From>
  static __device__ std::uint32_t four(From block, int part, int k, int half) {
    const std::uint32_t word = load_u16(block + (34 + 2 * part));
    const std::uint32_t index = block[2 + 4 * part + k] | (word >> (3 * k) & 7u) << 8;
    return iq1_four(index, word >> 15 != 0, half);
  }
  template <class From>
  static __device__ Group group(From block, int part, int) {
    return iq1_group(load_half(block), load_u16(block + (34 + 2 * part)) >> 12 & 7u);
  }
};

// 32 low bytes of codebook indices, 16 bytes of two nibbles (3 high bits of an index, the sign of
// the shift), 4 times 16 bits: 4 scales, and on top a nibble of the f16 d.
template <>
struct Decoder<DType::kIQ1_M> : VectorsOf8<Decoder<DType::kIQ1_M>> {
  static constexpr int kBytes = 56, kGroups = 2;
  template <class From>
  static __device__ std::uint32_t four(From block, int part, int k, int half) {
    const std::uint32_t nibble = block[32 + 2 * part + k / 2] >> (k % 2 * 4);
    return iq1_four(block[4 * part + k] | (nibble & 7u) << 8, (nibble & 8u) != 0, half);
  }
  template <class From>
  static __device__ Group group(From block, int part, int half) {
    const std::uint32_t first = load_u32(block + 48), second = load_u32(block + 48, 1);
    const std::uint32_t d = (first >> 12 & 0xfu) | (first >> 24 & 0xf0u) | (second >> 4 & 0xf00u) |
                            (second >> 16 & 0xf000u);
    const int g = 2 * part + half;
    const std::uint32_t scale = load_u16(block + (48 + g / 4 * 2)) >> (3 * (g % 4)) & 7u;
    return iq1_group(f32_of_half(static_cast<std::uint16_t>(d)), scale);
  }
};

}  // namespace windlass

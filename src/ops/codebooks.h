// The tables that codes of the IQ and FP4 types point into: facts of the file format, shared by all
// instruction sets (data, no code). GPUs have their own copies (kernels/formats).
#pragma once

#include <cstdint>

namespace windlass {

// Values of a nibble in IQ4_NL and IQ4_XS, and in MXFP4 and NVFP4 (E2M1, doubled).
constexpr std::int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::int8_t kFp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Vectors of 8 weights (of 4 in IQ3), a signed byte each, the first in the lowest byte. IQ2 values:
// 8, 25, 43. IQ3_XXS: 4, 12, 20, 28, 36, 44, 52, 62. IQ3_S: 1, 3, .. 15. IQ1_S and IQ1_M: -1, 0, 1,
// times 8.
template <typename Vector, int kSize>
struct Codebook {
  Vector vectors[kSize];
};
extern const Codebook<std::uint64_t, 256> kIq2XxsVectors;
extern const Codebook<std::uint64_t, 512> kIq2XsVectors;
extern const Codebook<std::uint64_t, 1024> kIq2SVectors;
extern const Codebook<std::uint32_t, 256> kIq3XxsVectors;
extern const Codebook<std::uint32_t, 512> kIq3SVectors;
extern const Codebook<std::uint64_t, 2048> kIq1Vectors;

// Signs of 8 weights as bytes of 0 or 0xff; those stored as 7 bits have an eighth that makes their
// number even.
extern const Codebook<std::uint64_t, 256> kSignMasks;
extern const Codebook<std::uint64_t, 128> kEvenSignMasks;

}  // namespace windlass

// The tables that codes of the IQ and FP4 types point into: facts of the file format, shared by all
// instruction sets (data, no code).
#pragma once

#include <cstdint>

namespace windlass {

// Values of a nibble in IQ4_NL and IQ4_XS, and in MXFP4 and NVFP4 (E2M1, doubled).
extern const std::int8_t kIq4Values[16];
extern const std::int8_t kFp4Values[16];

// An entry is a vector of 8 weights (of 4 in IQ3), packed: weight j is the index of a value, in
// bits 2j, 2j + 1 (3j to 3j + 2 in IQ3). IQ2 values: 8, 25, 43. IQ1: -1, 0, 1. IQ3_XXS: 4, 12, 20,
// 28, 36, 44, 52, 62. IQ3_S: 1, 3, .. 15.
extern const std::uint16_t kIq2XxsCodes[256];
extern const std::uint16_t kIq2XsCodes[512];
extern const std::uint16_t kIq2SCodes[1024];
extern const std::uint16_t kIq3XxsCodes[256];
extern const std::uint16_t kIq3SCodes[512];
extern const std::uint16_t kIq1Codes[2048];  // IQ1_S and IQ1_M

}  // namespace windlass

// One block of each type that src/quant writes. What the bytes mean is told in
// cpu_kernels/formats/.
#pragma once

#include <cstdint>
#include <cstring>

namespace windlass::quant {

// x[32] to one block.
void encode_q4_0(const float* x, std::uint8_t* out);
void encode_q4_1(const float* x, std::uint8_t* out);
void encode_q5_0(const float* x, std::uint8_t* out);
void encode_q5_1(const float* x, std::uint8_t* out);
void encode_q8_0(const float* x, std::uint8_t* out);
void encode_iq4_nl(const float* x, std::uint8_t* out);

// x[256] to one block.
void encode_q2_k(const float* x, std::uint8_t* out);
void encode_q3_k(const float* x, std::uint8_t* out);
void encode_q4_k(const float* x, std::uint8_t* out);
void encode_q5_k(const float* x, std::uint8_t* out);
void encode_q6_k(const float* x, std::uint8_t* out);

inline void store_u16(std::uint8_t* to, std::uint16_t bits) { std::memcpy(to, &bits, sizeof bits); }

}  // namespace windlass::quant

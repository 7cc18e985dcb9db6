// Encoders of weights: float rows to the blocks of a tensor type, chosen to lose least in the mean
// square, with no knowledge of activations (no importance matrix).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "src/base/dtype.h"

namespace windlass {

// The types that encode_row writes: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL, Q2_K,
// Q3_K, Q4_K, Q5_K, Q6_K.
std::span<const DType> encodable_types();
bool can_encode(DType type);

// out = x[n] as blocks of `type`: row_bytes(type, n) bytes. The same bytes on every machine.
// Thread-safe; allocates nothing. A block of zeros becomes zeros.
// REQUIRES: can_encode(type), whole blocks; x is finite, and below 1e30 but for F32, F16 and BF16
// (scales are f16: what they cannot reach becomes the largest that they can).
void encode_row(DType type, const float* x, std::int64_t n, std::byte* out);

}  // namespace windlass

// Models of published shapes whose files are headers and a hole: for everything that only plans.
#pragma once

#include <cstdint>

#include "src/model/model.h"
#include "tests/support/tiny_model.h"

namespace windlass::test {

struct LlamaShape {
  std::int64_t layers, d_model, d_ffn, heads, kv_heads, vocab;
};
inline constexpr LlamaShape kLlama8b = {32, 4096, 14336, 32, 8, 128256};
inline constexpr LlamaShape kLlama70b = {80, 8192, 28672, 64, 8, 128256};

// kQ4KM: which tensors llama.cpp's Q4_K_M gives more bits, of a 70B model: Q6_K for half of the
// down projections and of the values, and for the head; Q5_K for the other values.
enum class WeightMix { kQ4K, kQ4KM, kQ8 };

// The file stays in `folder`.
Model header_model(const testing::TempDir& folder, const LlamaShape& shape, WeightMix mix);

}  // namespace windlass::test

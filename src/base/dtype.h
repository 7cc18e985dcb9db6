// Element types of tensors, with ggml's ids and block sizes (GGUF stores these ids).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace windlass {

enum class DType : std::int32_t {
  kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ4_1 = 3, kQ5_0 = 6, kQ5_1 = 7, kQ8_0 = 8, kQ8_1 = 9,
  kQ2_K = 10, kQ3_K = 11, kQ4_K = 12, kQ5_K = 13, kQ6_K = 14, kQ8_K = 15,
  kIQ2_XXS = 16, kIQ2_XS = 17, kIQ3_XXS = 18, kIQ1_S = 19, kIQ4_NL = 20, kIQ3_S = 21,
  kIQ2_S = 22, kIQ4_XS = 23, kI8 = 24, kI16 = 25, kI32 = 26, kI64 = 27, kF64 = 28,
  kIQ1_M = 29, kBF16 = 30, kTQ1_0 = 34, kTQ2_0 = 35, kMXFP4 = 39, kNVFP4 = 40,
};
inline constexpr int kDTypeCount = 41;  // one past the largest id

struct DTypeInfo {
  DType type;
  std::string_view name;       // "Q4_0", as GGUF tools print it
  std::int64_t block_weights;  // weights in one block
  std::int64_t block_bytes;    // bytes of one block
};

// Null for an id that is not a ggml type.
const DTypeInfo* find_dtype(std::int64_t ggml_id);
// REQUIRES: type is one of the enumerators.
const DTypeInfo& dtype_info(DType type);
// Case-insensitive: "q4_0".
std::optional<DType> dtype_by_name(std::string_view name);
// Bytes of n_weights in a row. REQUIRES: block_weights divides n_weights.
std::int64_t row_bytes(DType type, std::int64_t n_weights);

}  // namespace windlass

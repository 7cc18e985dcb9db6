// What tests of ops share: seeded data, weights at odd addresses, activations in each form.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "src/base/half.h"
#include "src/ops/op_table.h"
#include "src/ops/weight_types.h"
#include "tests/support/catch.h"

namespace windlass::test {

inline std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  float gauss(float scale = 1.0f) { return scale * normal_(engine_); }
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(n));
  }
  std::vector<float> gauss_vector(std::int64_t n, float scale = 1.0f) {
    std::vector<float> values(at(n));
    for (float& value : values) value = gauss(scale);
    return values;
  }
  std::byte byte() { return static_cast<std::byte>(engine_() & 255u); }

 private:
  std::mt19937 engine_;
  std::normal_distribution<float> normal_;
};

inline std::vector<DType> matmul_types() {
  std::vector<DType> types;
  for (const WeightType& row : kWeightTypes) types.push_back(row.type);
  return types;
}

inline std::vector<DType> int8_types() {
  std::vector<DType> types;
  for (const WeightType& row : kWeightTypes) {
    if (row.int8) types.push_back(row.type);
  }
  return types;
}

// Around the vector widths, and some of models.
inline const std::vector<std::int64_t>& widths() {
  static const std::vector<std::int64_t> all = [] {
    std::vector<std::int64_t> list;
    for (std::int64_t n = 1; n <= 34; ++n) list.push_back(n);
    for (const std::int64_t n : {63, 64, 65, 127, 128, 576, 1000, 1536}) list.push_back(n);
    return list;
  }();
  return all;
}

inline void check_close(const std::vector<float>& out, const std::vector<double>& expected,
                        double relative, double absolute) {
  REQUIRE(out.size() == expected.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    INFO("element " << i << " is " << out[i] << ", expected " << expected[i]);
    REQUIRE(std::abs(out[i] - expected[i]) <= relative * std::abs(expected[i]) + absolute);
  }
}

inline void put_half(std::byte* to, float value) {
  const std::uint16_t bits = f16_from_f32(value);
  std::memcpy(to, &bits, 2);
}

// Where a block keeps its f16 scale, and its f16 minimum (-1: none); `largest` is about the largest
// magnitude that a weight has with a scale of 1.
struct ScaleFields {
  DType type;
  std::int64_t scale, minimum;
  float largest;
};
inline constexpr ScaleFields kScaleFields[] = {
    {DType::kQ4_0, 0, -1, 8},         {DType::kQ4_1, 0, 2, 15},
    {DType::kQ5_0, 0, -1, 16},        {DType::kQ5_1, 0, 2, 31},
    {DType::kQ8_0, 0, -1, 128},       {DType::kQ2_K, 80, 82, 15 * 3},
    {DType::kQ3_K, 108, -1, 32 * 4},  {DType::kQ4_K, 0, 2, 63 * 15},
    {DType::kQ5_K, 0, 2, 63 * 31},    {DType::kQ6_K, 208, -1, 128 * 32},
    {DType::kIQ4_NL, 0, -1, 127},     {DType::kIQ4_XS, 0, -1, 32 * 127},
    {DType::kIQ1_S, 0, -1, 16},       {DType::kIQ2_XXS, 0, -1, 4 * 43},
    {DType::kIQ2_XS, 0, -1, 4 * 43},  {DType::kIQ2_S, 0, -1, 4 * 43},
    {DType::kIQ3_XXS, 0, -1, 8 * 62}, {DType::kIQ3_S, 0, -1, 31 * 15},
    {DType::kTQ1_0, 52, -1, 1},       {DType::kTQ2_0, 64, -1, 1},
};

// Makes the scales of one block such that its weights are of the size of `value` at most.
inline void set_scales(DType type, std::byte* block, float value) {
  for (const ScaleFields& fields : kScaleFields) {
    if (fields.type != type) continue;
    put_half(block + fields.scale, value / fields.largest);
    // Of a Q4_1 or Q5_1 the minimum is no multiple of a group's.
    const bool alone = type == DType::kQ4_1 || type == DType::kQ5_1;
    if (fields.minimum >= 0) put_half(block + fields.minimum, alone ? -value / 2 : value / 100);
    return;
  }
  if (type == DType::kMXFP4) {
    block[0] = static_cast<std::byte>(123 + (std::to_integer<int>(block[0]) & 3));
  } else if (type == DType::kNVFP4) {
    for (int i = 0; i < 4; ++i) block[i] &= std::byte{0x3f};
  } else if (type == DType::kIQ1_M) {  // the f16 in the top nibbles of four words
    const std::uint16_t bits = f16_from_f32(value / 16);
    for (int i = 0; i < 4; ++i) {
      std::byte& high = block[49 + 2 * i];
      high = (high & std::byte{15}) | static_cast<std::byte>((bits >> (4 * i) & 15) << 4);
    }
  }
}

// A row of n random weights of unit-like scale in the layout of `type`.
inline void random_row(DType type, std::byte* row, std::int64_t n, Random* random) {
  const DTypeInfo& info = dtype_info(type);
  for (std::int64_t b = 0; b < n / info.block_weights; ++b) {
    std::byte* block = row + b * info.block_bytes;
    const float value = random->gauss();
    const std::uint16_t bf16 = bf16_from_f32(value);
    switch (type) {
      case DType::kF32:
        std::memcpy(block, &value, 4);
        break;
      case DType::kF16:
        put_half(block, value);
        break;
      case DType::kBF16:
        std::memcpy(block, &bf16, 2);
        break;
      default:
        for (std::int64_t i = 0; i < info.block_bytes; ++i) block[i] = random->byte();
        set_scales(type, block, value);
    }
  }
}

// Random weights at `misalignment` bytes past an address that 64 divides; the bytes end with the
// last row, so that a kernel that reads past it is caught by the address sanitizer.
class Weights {
 public:
  Weights(DType type, std::int64_t n_out, std::int64_t n_in, std::int64_t misalignment,
          Random* random)
      : row_bytes(windlass::row_bytes(type, n_in)) {
    const std::int64_t bytes = n_out * row_bytes;
    storage_.resize(at(bytes + 64 + misalignment));
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
    const std::int64_t shift = static_cast<std::int64_t>((64 - address % 64) % 64) + misalignment;
    storage_.resize(at(shift + bytes));
    data = storage_.data() + shift;
    for (std::int64_t r = 0; r < n_out; ++r) random_row(type, data + r * row_bytes, n_in, random);
  }
  std::int64_t row_bytes;
  std::byte* data;

 private:
  std::vector<std::byte> storage_;
};

// q8 rows of x [rows, width], made by the table under test.
inline std::vector<std::byte> quantized(const OpTable& table, const std::vector<float>& x,
                                        std::int64_t rows, std::int64_t width) {
  std::vector<std::byte> out(at(rows * q8_row_bytes(width)));
  table.quantize_rows({x.data(), out.data(), rows, width}, {0, rows});
  return out;
}

// What a product takes its activations as.
enum class Form { kF32, kQ8, kBf16 };
inline constexpr Form kForms[] = {Form::kF32, Form::kQ8, Form::kBf16};

inline const char* form_name(Form form) {
  return form == Form::kF32 ? "f32" : form == Form::kQ8 ? "q8" : "bf16";
}

using MatMulFunction = void (*)(const MatMulArgs&, WorkRange);
// Null where the table has no such product.
inline MatMulFunction mat_mul_function(const OpTable& table, Form form, DType type) {
  const auto& row = form == Form::kF32  ? table.matmul_f32
                    : form == Form::kQ8 ? table.matmul_q8
                                        : table.matmul_bf16;
  return row[static_cast<int>(type)];
}

inline std::int64_t form_row_bytes(Form form, std::int64_t width) {
  return form == Form::kF32  ? 4 * width
         : form == Form::kQ8 ? q8_row_bytes(width)
                             : bf16_row_bytes(width);
}

// x [rows, width] in that form, made by the table under test.
inline std::vector<std::byte> in_form(const OpTable& table, Form form, const std::vector<float>& x,
                                      std::int64_t rows, std::int64_t width) {
  std::vector<std::byte> out(at(rows * form_row_bytes(form, width)));
  if (form == Form::kF32) {
    std::memcpy(out.data(), x.data(), out.size());
  } else {
    const auto round = form == Form::kQ8 ? table.quantize_rows : table.round_rows;
    round({x.data(), out.data(), rows, width}, {0, rows});
  }
  return out;
}

}  // namespace windlass::test

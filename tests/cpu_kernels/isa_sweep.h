// What the contract tests share: every op table of this machine, seeded data, weights at odd
// addresses.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "cpu_kernels/op_table.h"
#include "src/base/half.h"
#include "tests/support/catch.h"

namespace windlass::test {

// The instruction sets to test; one that this machine lacks is named, once, with what it lacks.
inline std::vector<Isa> present_isas() {
  static const std::vector<Isa> present = [] {
    std::vector<Isa> isas;
    for (const Isa isa : kAllIsas) {
      if (isa_present(isa)) {
        isas.push_back(isa);
      } else {
        std::printf("skipped: %s needs %s\n", isa_name(isa), missing_features(isa).c_str());
      }
    }
    return isas;
  }();
  return present;
}

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

inline const std::vector<DType>& matmul_types() {
  static const std::vector<DType> types = {DType::kF32,  DType::kF16,  DType::kBF16,
                                           DType::kQ4_0, DType::kQ4_1, DType::kQ8_0};
  return types;
}

inline void put_half(std::byte* to, float value) {
  const std::uint16_t bits = f16_from_f32(value);
  std::memcpy(to, &bits, 2);
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
        put_half(block, value * (type == DType::kQ8_0 ? 0.01f : 0.2f));
        if (type == DType::kQ4_1) put_half(block + 2, random->gauss());
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

}  // namespace windlass::test

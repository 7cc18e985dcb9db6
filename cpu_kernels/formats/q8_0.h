// Q8_0: f16 d, 32 signed bytes; w = d * q. For inclusion by isa_*.cpp alone.
#pragma once

#include "cpu_kernels/formats/format.h"

namespace windlass {
namespace {

template <>
struct Format<DType::kQ8_0> : HeadScales<false> {
  static constexpr std::int64_t kBlockBytes = 34;
  static constexpr bool kHeadApart = true;
  static constexpr Codes kCodes = Codes::kSigned8;
  static constexpr int kZeroPoint = 0;
  template <class V>
  [[gnu::always_inline]] static void load_codes(const std::uint8_t* const* rows, std::int64_t at,
                                                int, typename V::B* steps) {
    V::load_rows32(rows, at + 2, steps);
  }
  template <class V>
  static void dequantize(const std::uint8_t* from, float* out, std::int64_t n) {
    for (std::int64_t i = 0; i < n; i += 32, from += kBlockBytes) {
      const typename V::F d = V::broadcast_f16(from);
      for (int j = 0; j < 32; j += V::kLanes) {
        V::store(out + i + j, V::mul(V::to_f32(V::load_i8(from + 2 + j)), d));
      }
    }
  }
};

}  // namespace
}  // namespace windlass

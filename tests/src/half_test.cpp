#include "src/base/half.h"

#include <cmath>
#include <limits>

#include "tests/support/catch.h"

namespace windlass {
namespace {

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

// The half nearest to `value` by search over all finite halves of its sign, ties to the even one:
// slow and plain.
std::uint16_t nearest_half(float value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  // Halves of one sign ascend with their bits; find the last one that is not above |value|.
  std::uint16_t low = 0, high = 0x7c00;
  while (high - low > 1) {
    const auto middle = static_cast<std::uint16_t>((low + high) / 2);
    (f32_from_f16(middle) <= std::fabs(value) ? low : high) = middle;
  }
  const double below = f32_from_f16(low);
  const double above = high == 0x7c00 ? 65536.0 : f32_from_f16(high);  // what would follow 65504
  const double to_below = std::fabs(value) - below, to_above = above - std::fabs(value);
  const bool up = to_above < to_below || (to_above == to_below && (low & 1) == 1);
  return static_cast<std::uint16_t>(sign | (up ? high : low));
}

}  // namespace

TEST_CASE("every half survives the way to float and back") {
  for (std::uint32_t i = 0; i < 0x10000; ++i) {
    const auto half = static_cast<std::uint16_t>(i);
    const float value = f32_from_f16(half);
    if (std::isnan(value)) {
      if (((half & 0x7c00) != 0x7c00) || (half & 0x3ff) == 0) FAIL(i);
      if (!std::isnan(f32_from_f16(f16_from_f32(value)))) FAIL(i);
    } else if (f16_from_f32(value) != half) {
      FAIL(i);
    }
  }
}

TEST_CASE("halves have the values that IEEE 754 gives them") {
  CHECK(f32_from_f16(0x3c00) == 1.0F);
  CHECK(f32_from_f16(0xc000) == -2.0F);
  CHECK(f32_from_f16(0x0001) == 0x1p-24F);
  CHECK(f32_from_f16(0x03ff) == 1023 * 0x1p-24F);
  CHECK(f32_from_f16(0x0400) == 0x1p-14F);
  CHECK(f32_from_f16(0x7bff) == 65504.0F);
  CHECK(f32_from_f16(0x7c00) == std::numeric_limits<float>::infinity());
  CHECK(bits_of(f32_from_f16(0x8000)) == 0x80000000U);
}

TEST_CASE("floats round to the nearest half, ties to even") {
  // At and around every midpoint of neighbouring halves, subnormals and overflow included.
  for (std::uint16_t half = 0; half < 0x7c00; ++half) {
    const float here = f32_from_f16(half);
    const float next =
        half == 0x7bff ? 65536.0F : f32_from_f16(static_cast<std::uint16_t>(half + 1));
    const float middle = here + (next - here) / 2;
    for (const float value : {middle, std::nextafter(middle, 0.0F), std::nextafter(middle, 1e9F)}) {
      if (f16_from_f32(value) != nearest_half(value)) FAIL("half " << half << " value " << value);
      if (f16_from_f32(-value) != nearest_half(-value))
        FAIL("half " << half << " value " << -value);
    }
  }
  CHECK(f16_from_f32(1e6F) == 0x7c00);
  CHECK(f16_from_f32(-std::numeric_limits<float>::infinity()) == 0xfc00);
  CHECK(f16_from_f32(1e-30F) == 0);
}

TEST_CASE("bfloat16 is the upper half of a float, rounded to nearest even") {
  for (std::uint32_t i = 0; i < 0x10000; ++i) {
    const auto half = static_cast<std::uint16_t>(i);
    const float value = f32_from_bf16(half);
    if (std::isnan(value)) {
      if (!std::isnan(f32_from_bf16(bf16_from_f32(value)))) FAIL(i);
    } else if (bf16_from_f32(value) != half) {
      FAIL(i);
    }
  }
  CHECK(bf16_from_f32(std::bit_cast<float>(0x3f808000U)) == 0x3f80);  // tie, even below
  CHECK(bf16_from_f32(std::bit_cast<float>(0x3f818000U)) == 0x3f82);  // tie, even above
  CHECK(bf16_from_f32(std::bit_cast<float>(0x3f808001U)) == 0x3f81);
  CHECK(bf16_from_f32(std::numeric_limits<float>::max()) == 0x7f80);
}

}  // namespace windlass

#include "src/text/portable_math.h"

#include <array>
#include <cmath>
#include <limits>

#include "src/base/check.h"

namespace windlass {
namespace {

// ln 2 in two parts: the first has its last 21 bits zero, so that k * kLn2High is exact for the
// exponents k of doubles (11 bits).
constexpr double kLn2High = 0x1.62e42fee00000p-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
constexpr double kInverseLn2 = 0x1.71547652b82fep+0;

// 1 / i!
constexpr std::array<double, 14> kInverseFactorials = [] {
  std::array<double, 14> values{};
  double factorial = 1.0;  // 13! = 6.2e9 is exact
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) factorial *= static_cast<double>(i);
    values[i] = 1.0 / factorial;
  }
  return values;
}();

}  // namespace

double portable_exp(double x) {
  if (std::isnan(x)) return x;
  if (x > 709.8) return std::numeric_limits<double>::infinity();
  if (x < -745.2) return 0.0;
  const double k = std::floor(x * kInverseLn2 + 0.5);
  const double r = (x - k * kLn2High) - k * kLn2Low;
  // Taylor's series: |r| <= 0.3466, and the first term left out is 0.3466^14 / 14! < 5e-18.
  double sum = kInverseFactorials[13];
  for (std::size_t i = 13; i-- > 0;) sum = sum * r + kInverseFactorials[i];
  return std::ldexp(sum, static_cast<int>(k));
}

double portable_log(double x) {
  WINDLASS_CHECK(x > 0.0 && std::isfinite(x), x);
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // in [0.5, 1)
  if (m < 0x1.6a09e667f3bcdp-1) {       // below the root of 1/2
    m *= 2.0;
    --exponent;
  }
  // log m = 2 (f + f^3/3 + f^5/5 + ...) with |f| <= 0.1716: the term after f^23 is below 1e-20.
  const double f = (m - 1.0) / (m + 1.0);
  const double square = f * f;
  double sum = 0.0;
  for (int i = 23; i >= 3; i -= 2) sum = (sum + 1.0 / i) * square;
  return exponent * kLn2High + (2.0 * (f + f * sum) + exponent * kLn2Low);
}

double portable_pow(double x, double y) { return portable_exp(y * portable_log(x)); }

}  // namespace windlass

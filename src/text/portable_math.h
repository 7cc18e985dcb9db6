// exp and log that give the same bits on every machine: a libm may differ in the last bit between
// versions, and one bit can change which token is drawn. Only + - * / and exact scalings of IEEE
// doubles, compiled without contraction (src/CMakeLists.txt). Errors stay within a few units in the
// last place.
#pragma once

namespace windlass {

// e^x; 0 below -745.2, infinity above 709.8.
double portable_exp(double x);
// Natural logarithm. REQUIRES: x > 0 and finite.
double portable_log(double x);
// x^y by the two above. REQUIRES: x > 0 and finite.
double portable_pow(double x, double y);

}  // namespace windlass

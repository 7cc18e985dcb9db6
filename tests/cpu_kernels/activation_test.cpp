// The nonlinear functions of every op table against double precision.
#include <limits>

#include "tests/cpu_kernels/isa_sweep.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

constexpr Activation kAll[] = {Activation::kSilu, Activation::kGeluTanh, Activation::kGeluErf,
                               Activation::kRelu};

auto function_of(Isa isa, Activation activation) {
  return cpu_op_table(isa).activate[static_cast<int>(activation)];
}

}  // namespace

TEST_CASE("activations equal their double-precision form, alone and as gates, also in place") {
  for (const Isa isa : present_isas()) {
    for (const std::int64_t width : widths()) {
      for (const Activation activation : kAll) {
        for (const bool gated : {false, true}) {
          Random random(static_cast<std::uint32_t>(width));
          constexpr std::int64_t kRows = 2;
          const std::int64_t row = 2 * width + 1;  // gate and up side by side, and one more
          std::vector<float> x = random.gauss_vector(kRows * row, 4.0f);
          x[0] = -1000.0f;
          x[at(row + width - 1)] = 1000.0f;
          std::vector<float> out(at(kRows * width));
          ActivateArgs args = {
              x.data(), gated ? x.data() + width : nullptr, out.data(), row, row, width, kRows,
              width};
          const std::vector<double> expected = reference_activate(activation, args);
          INFO(isa_name(isa) << " activation " << static_cast<int>(activation) << " width "
                             << width);
          function_of(isa, activation)(args, {0, kRows});
          check_close(out, expected, 1e-6, 2e-6);
          args.out = x.data();
          args.out_stride = row;
          function_of(isa, activation)(args, {0, 1});
          function_of(isa, activation)(args, {1, kRows});
          for (std::int64_t i = 0; i < kRows * width; ++i) {
            REQUIRE(x[at(i / width * row + i % width)] == out[at(i)]);
          }
        }
      }
    }
  }
}

TEST_CASE("activations keep their accuracy over their whole range, and NaN stays visible") {
  for (const Isa isa : present_isas()) {
    for (const Activation activation : kAll) {
      for (double x = -60; x < 60; x += 0.0371) {
        float in = static_cast<float>(x), out = 0;
        const ActivateArgs args = {&in, nullptr, &out, 1, 1, 1, 1, 1};
        const double expected = reference_activate(activation, args)[0];
        function_of(isa, activation)(args, {0, 1});
        INFO(isa_name(isa) << " activation " << static_cast<int>(activation) << " x " << in);
        // SiLU is relatively exact down to where the exponential ends; GELU's tails below -5 are
        // smaller than 1e-5 and count for nothing.
        const double absolute = activation == Activation::kSilu ? 0 : 3e-7;
        REQUIRE(std::abs(out - expected) <= 4e-7 * std::abs(expected) + absolute);
      }
      float nan = std::numeric_limits<float>::quiet_NaN(), out = 0;
      function_of(isa, activation)({&nan, nullptr, &out, 1, 1, 1, 1, 1}, {0, 1});
      REQUIRE(std::isnan(out));
    }
  }
}

}  // namespace windlass::test

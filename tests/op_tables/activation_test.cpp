// The nonlinear functions of every op table against double precision.
#include <limits>

#include "tests/op_tables/backends.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

constexpr Activation kAll[] = {Activation::kSilu, Activation::kGeluTanh, Activation::kGeluErf,
                               Activation::kRelu};

auto function_of(const Backend& backend, Activation activation) {
  return backend.ops.activate[static_cast<int>(activation)];
}

}  // namespace

TEST_CASE("activations equal their double-precision form, alone and as gates, also in place") {
  for (const Backend& backend : backends()) {
    for (const std::int64_t width : widths()) {
      for (const Activation activation : kAll) {
        for (const bool gated : {false, true}) {
          Random random(static_cast<std::uint32_t>(width));
          constexpr std::int64_t kRows = 2;
          const std::int64_t row = width + 1, up_row = width + 3;
          std::vector<float> x = random.gauss_vector(kRows * row, 4.0f);
          x[0] = -1000.0f;
          x[at(row + width - 1)] = 1000.0f;
          const std::vector<float> up = random.gauss_vector(kRows * up_row);
          std::vector<float> out(at(kRows * width));
          ActivateArgs args = {
              x.data(), gated ? up.data() : nullptr, out.data(), row, up_row, width, kRows, width};
          const std::vector<double> expected = reference_activate(activation, args);
          INFO(backend.name << " activation " << static_cast<int>(activation) << " width "
                            << width);
          function_of(backend, activation)(args, {0, kRows});
          check_close(out, expected, 1e-6, 2e-6);
          args.out = x.data();
          args.out_stride = row;
          function_of(backend, activation)(args, {0, 1});
          function_of(backend, activation)(args, {1, kRows});
          for (std::int64_t i = 0; i < kRows * width; ++i) {
            REQUIRE(x[at(i / width * row + i % width)] == out[at(i)]);
          }
        }
      }
    }
  }
}

TEST_CASE("activations keep their accuracy over their whole range, and NaN stays visible") {
  for (const Backend& backend : backends()) {
    for (const Activation activation : kAll) {
      std::vector<float> in;
      for (double x = -60; x < 60; x += 0.0371) {
        in.push_back(static_cast<float>(x));
      }
      in.push_back(std::numeric_limits<float>::quiet_NaN());
      std::vector<float> out(in.size());
      // A row each, so that no value has neighbours.
      const ActivateArgs args = {in.data(), nullptr, out.data(), 1, 1, 1, std::ssize(in), 1};
      const std::vector<double> expected = reference_activate(activation, args);
      function_of(backend, activation)(args, {0, std::ssize(in)});
      for (std::size_t i = 0; i + 1 < in.size(); ++i) {
        INFO(backend.name << " activation " << static_cast<int>(activation) << " x " << in[i]);
        // SiLU is relatively exact down to where the exponential ends; GELU's tails below -5 are
        // smaller than 1e-5 and count for nothing.
        const double absolute = activation == Activation::kSilu ? 0 : 3e-7;
        REQUIRE(std::abs(out[i] - expected[i]) <= 4e-7 * std::abs(expected[i]) + absolute);
      }
      REQUIRE(std::isnan(out.back()));
    }
  }
}

}  // namespace windlass::test

// Norms, RoPE, sums and scales of every op table against plain references.
#include "tests/op_tables/backends.h"
#include "tests/support/reference_ops.h"

namespace windlass::test {
namespace {

// Elements of the vectors of rows [0, rows), in order.
std::vector<float> gathered(const Vectors& vectors, std::int64_t rows, std::int64_t n,
                            std::int64_t width) {
  std::vector<float> out;
  for (std::int64_t item = 0; item < rows * n; ++item) {
    const std::int64_t v = item % n;
    const float* from = vectors.data + item / n * vectors.row_stride +
                        v / vectors.per_group * vectors.group_stride +
                        v % vectors.per_group * vectors.vector_stride;
    out.insert(out.end(), from, from + width);
  }
  return out;
}

using Norm = void (*)(const NormArgs&, WorkRange);

// In vectors of a fused row and, split over calls, in place.
void check_norm(Norm function, const std::vector<double>& expected, NormArgs args,
                std::vector<float>& x) {
  std::vector<float> out(at(args.rows * args.vectors * args.width));
  args.out = {out.data(), args.vectors * args.width, args.vectors, 0, args.width};
  const std::vector<float> before = x;
  function(args, {0, args.rows});
  check_close(out, expected, 4e-6, 1e-5);  // of x near 7, the mean of one-lane sums rounds
  REQUIRE(x == before);
  args.out = args.in;
  function(args, {0, 1});
  function(args, {1, args.rows});
  REQUIRE(gathered(args.in, args.rows, args.vectors, args.width) == out);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::int64_t column = static_cast<std::int64_t>(i) % args.in.row_stride;
    if (column < args.in.row_stride - 3) continue;  // behind the last vector
    REQUIRE(x[i] == before[i]);
  }
}

}  // namespace

TEST_CASE("norms equal their double-precision form, for vectors anywhere in a row and in place") {
  for (const Backend& backend : backends()) {
    for (const std::int64_t width : widths()) {
      for (const float offset : {0.0f, 1.0f}) {
        Random random(static_cast<std::uint32_t>(width));
        // Two groups of two vectors, a gap of 2 between vectors and 5 between groups.
        constexpr std::int64_t kRows = 3;
        const std::int64_t group = 2 * (width + 2) + 5, row = 2 * group;
        std::vector<float> x = random.gauss_vector(kRows * row, 4.0f);
        for (float& value : x) value += 7;
        const std::vector<float> original = x;
        const std::vector<float> weight = random.gauss_vector(width);
        NormArgs args = {};
        args.in = {x.data(), row, 2, group, width + 2};
        args.weight = weight.data();
        args.rows = kRows;
        args.vectors = 4;
        args.width = width;
        args.epsilon = 1e-5f;
        args.weight_offset = offset;
        INFO(backend.name << " width " << width << " offset " << offset);
        check_norm(backend.ops.rms_norm, reference_rms_norm(args), args, x);
        x = original;
        const std::vector<double> expected = reference_layer_norm(args);
        // Of one element, or two that are alike, nothing but rounding errors would be left.
        if (width > 4) check_norm(backend.ops.layer_norm, expected, args, x);
      }
    }
  }
}

TEST_CASE("layer norm of a constant row is zero, whatever the constant") {
  for (const Backend& backend : backends()) {
    for (const float value : {0.0f, 1.0f, -3e4f}) {
      std::vector<float> x(40, value), weight(40, 2.0f);
      const NormArgs args = {
          plain_rows(x.data(), 40), plain_rows(x.data(), 40), weight.data(), 1, 1, 40, 1e-5f, 0.0f};
      backend.ops.layer_norm(args, {0, 1});
      for (const float out : x) CHECK(out == 0.0f);
    }
  }
}

TEST_CASE("rope rotates pairs and leaves the rest of a head alone") {
  for (const Backend& backend : backends()) {
    for (const bool interleaved : {false, true}) {
      for (const std::int64_t head_dim : {2, 16, 64, 80, 128}) {
        for (const std::int64_t dims : {head_dim, head_dim / 4 * 2}) {
          constexpr std::int64_t kTokens = 3, kHeads = 4;
          Random random(static_cast<std::uint32_t>(head_dim));
          // Two groups of two heads, and a key behind each group, as in falcon's fused rows.
          const std::int64_t row = 6 * head_dim;
          std::vector<float> x = random.gauss_vector(kTokens * row);
          const std::vector<float> before = x;
          const std::vector<float> cos = random.gauss_vector(kTokens * head_dim);
          const std::vector<float> sin = random.gauss_vector(kTokens * head_dim);
          const Vectors heads = {x.data(), row, 2, 3 * head_dim, head_dim};
          const RopeArgs args = {heads, cos.data(), sin.data(), kTokens, kHeads, dims, interleaved};
          const std::vector<double> expected = reference_rope(args);
          backend.ops.rope(args, {0, 2});
          backend.ops.rope(args, {2, kTokens});
          INFO(backend.name << " head_dim " << head_dim << " dims " << dims << " interleaved "
                            << interleaved);
          check_close(gathered(heads, kTokens, kHeads, dims), expected, 1e-6, 1e-6);
          for (std::int64_t i = 0; i < kTokens * row; ++i) {
            const bool key = i % row / head_dim % 3 == 2;
            if (key || i % head_dim >= dims) REQUIRE(x[at(i)] == before[at(i)]);
          }
        }
      }
    }
  }
}

TEST_CASE("rope into another buffer gives the bits of rope in place, and leaves its input") {
  for (const Backend& backend : backends()) {
    for (const bool interleaved : {false, true}) {
      constexpr std::int64_t kTokens = 3, kHeads = 2, kDims = 22, kRow = 90, kOutRow = 70;
      Random random(4);
      std::vector<float> x = random.gauss_vector(kTokens * kRow), out(at(kTokens * kOutRow), 7.0f);
      const std::vector<float> before = x;
      const std::vector<float> cos = random.gauss_vector(kTokens * kDims);
      const std::vector<float> sin = random.gauss_vector(kTokens * kDims);
      const Vectors heads = {x.data(), kRow, kHeads, 0, 40};
      RopeArgs args = {heads, cos.data(), sin.data(), kTokens, kHeads, kDims, interleaved};
      args.out = {out.data(), kOutRow, kHeads, 0, 30};
      backend.ops.rope(args, {0, kTokens});
      REQUIRE(x == before);
      const std::vector<float> elsewhere = gathered(args.out, kTokens, kHeads, kDims);
      REQUIRE(out[at(kDims)] == 7.0f);
      args.out = {};
      backend.ops.rope(args, {0, kTokens});
      REQUIRE(gathered(heads, kTokens, kHeads, kDims) == elsewhere);
    }
  }
}

TEST_CASE("rows add up, and a bias adds to each row; columns beside them stay") {
  for (const Backend& backend : backends()) {
    for (const std::int64_t width : widths()) {
      for (const bool bias : {false, true}) {
        constexpr std::int64_t kRows = 3;
        Random random(static_cast<std::uint32_t>(width));
        const std::vector<float> in = random.gauss_vector(kRows * width);
        std::vector<float> out = random.gauss_vector(kRows * (width + 1));
        const std::vector<float> before = out;
        const AddArgs args = {in.data(), out.data(), bias ? 0 : width, width + 1, kRows, width};
        backend.ops.add(args, {0, 1});
        backend.ops.add(args, {1, kRows});
        for (std::int64_t i = 0; i < kRows * (width + 1); ++i) {
          const std::int64_t t = i / (width + 1), column = i % (width + 1);
          const float added = column == width ? 0.0f : in[at((bias ? 0 : t * width) + column)];
          REQUIRE(out[at(i)] == before[at(i)] + added);
        }
      }
    }
  }
}

TEST_CASE("scaling multiplies, and a soft cap bends large values below it and keeps small ones") {
  for (const Backend& backend : backends()) {
    for (const std::int64_t width : widths()) {
      for (const float cap : {0.0f, 5.0f, 50.0f}) {
        Random random(static_cast<std::uint32_t>(width));
        std::vector<float> x = random.gauss_vector(2 * width, 20.0f);
        x[0] = 1e-6f;
        x.back() = -3e4f;
        std::vector<double> expected;
        for (const float value : x) {
          const double scaled = 1.5f * static_cast<double>(value);
          expected.push_back(cap > 0 ? cap * std::tanh(scaled / cap) : scaled);
        }
        backend.ops.scale({x.data(), width, 2, width, 1.5f, cap}, {0, 1});
        backend.ops.scale({x.data(), width, 2, width, 1.5f, cap}, {1, 2});
        INFO(backend.name << " width " << width << " cap " << cap);
        check_close(x, expected, 1e-6, 0);
      }
    }
  }
}

}  // namespace windlass::test

// Names, detection and choice of instruction sets.
#include "cpu_kernels/op_table.h"
#include "src/base/error.h"
#include "src/ops/weight_types.h"
#include "tests/support/catch.h"

namespace windlass::test {

TEST_CASE("every instruction set is found by its own name and no other") {
  for (const Isa isa : kAllIsas) REQUIRE(isa_by_name(isa_name(isa)) == isa);
  REQUIRE_FALSE(isa_by_name("AVX2").has_value());
  REQUIRE_FALSE(isa_by_name("").has_value());
}

TEST_CASE("the scalar set is always present, and the best is present") {
  REQUIRE(isa_present(Isa::kScalar));
  REQUIRE(isa_present(best_isa()));
  REQUIRE(choose_isa("") == best_isa());
  REQUIRE(choose_isa("scalar") == Isa::kScalar);
}

TEST_CASE("a set is present only if those below it are, and says what it lacks otherwise") {
  for (std::size_t i = 1; i < std::size(kAllIsas); ++i) {
    if (isa_present(kAllIsas[i])) REQUIRE(isa_present(kAllIsas[i - 1]));
    REQUIRE(isa_present(kAllIsas[i]) == missing_features(kAllIsas[i]).empty());
  }
}

TEST_CASE("an unknown set is a usage error that lists the known") {
  try {
    choose_isa("sse9");
    FAIL("accepted");
  } catch (const Error& error) {
    REQUIRE(error.code() == ErrorCode::kUsage);
    REQUIRE_THAT(error.what(), Contains("sse9") && Contains("scalar, avx2, avx512, avx512vnni"));
  }
}

TEST_CASE("a set that this machine lacks is refused with what is missing and the best present") {
  for (const Isa isa : kAllIsas) {
    if (isa_present(isa)) continue;
    try {
      choose_isa(isa_name(isa));
      FAIL("accepted");
    } catch (const Error& error) {
      REQUIRE(error.code() == ErrorCode::kUnsupported);
      REQUIRE_THAT(error.what(), Contains(missing_features(isa)) && Contains(isa_name(best_isa())));
    }
  }
}

TEST_CASE("every table of this machine names itself and has the ops of all its weight types") {
  for (const Isa isa : kAllIsas) {
    if (!isa_present(isa)) continue;
    const OpTable& table = cpu_op_table(isa);
    REQUIRE(std::string(table.name) == isa_name(isa));
    for (int id = 0; id < kDTypeCount; ++id) {
      const WeightType* row = find_weight_type(static_cast<DType>(id));
      INFO(table.name << " type " << id);
      REQUIRE((table.matmul_f32[id] != nullptr) == (row != nullptr));
      REQUIRE((table.dequantize_rows[id] != nullptr) == (row != nullptr));
      REQUIRE((table.matmul_q8[id] != nullptr) == (row != nullptr && row->int8));
    }
  }
}

TEST_CASE("at least one core is usable") { REQUIRE(usable_cores() >= 1); }

}  // namespace windlass::test

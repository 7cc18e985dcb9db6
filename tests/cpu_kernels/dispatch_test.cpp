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

TEST_CASE("a set is present only if the one that it adds to is, and says what it lacks otherwise") {
  for (const Isa isa : kAllIsas) {
    if (isa_present(isa)) REQUIRE(isa_present(base_isa(isa)));
    REQUIRE(isa_present(isa) == missing_features(isa).empty());
    // What the base lacks, this lacks too.
    REQUIRE_THAT(missing_features(isa), StartsWith(missing_features(base_isa(isa))));
  }
}

TEST_CASE("every set but the plainest adds to one before it, and AVX-512 does not need AVX-VNNI") {
  for (const Isa isa : kAllIsas) {
    INFO(isa_name(isa));
    REQUIRE((isa == Isa::kScalar ? base_isa(isa) == isa : base_isa(isa) < isa));
    if (isa == Isa::kAvxVnni) continue;
    REQUIRE(base_isa(isa) != Isa::kAvxVnni);
    REQUIRE_THAT(missing_features(isa), !Contains("avx_vnni"));
  }
}

TEST_CASE("an unknown set is a usage error that lists the known") {
  try {
    choose_isa("sse9");
    FAIL("accepted");
  } catch (const Error& error) {
    REQUIRE(error.code() == ErrorCode::kUsage);
    REQUIRE_THAT(error.what(), Contains("sse9") &&
                                   Contains("scalar, avx2, avxvnni, avx512, avx512vnni") &&
                                   Contains("this machine has scalar"));
  }
}

TEST_CASE("a set that this machine lacks is refused with what is missing and the sets present") {
  for (const Isa isa : kAllIsas) {
    if (isa_present(isa)) continue;
    try {
      choose_isa(isa_name(isa));
      FAIL("accepted");
    } catch (const Error& error) {
      REQUIRE(error.code() == ErrorCode::kUnsupported);
      REQUIRE_THAT(error.what(), Contains(missing_features(isa)) && Contains("it has scalar") &&
                                     Contains(isa_name(best_isa())));
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
      const bool pairs = static_cast<DType>(id) == DType::kBF16 && isa >= Isa::kAvx512Bf16;
      REQUIRE((table.matmul_bf16[id] != nullptr) == pairs);
    }
  }
}

}  // namespace windlass::test

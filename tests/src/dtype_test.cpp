#include "src/base/dtype.h"

#include "tests/support/catch.h"

namespace windlass {

TEST_CASE("types have the ids and block sizes of the GGUF format") {
  struct Expected {
    std::int64_t id, weights, bytes;
    const char* name;
  };
  // From the table of the golden reference data.
  const Expected table[] = {
      {0, 1, 4, "F32"},        {1, 1, 2, "F16"},         {30, 1, 2, "BF16"},
      {2, 32, 18, "Q4_0"},     {3, 32, 20, "Q4_1"},      {6, 32, 22, "Q5_0"},
      {7, 32, 24, "Q5_1"},     {8, 32, 34, "Q8_0"},      {10, 256, 84, "Q2_K"},
      {11, 256, 110, "Q3_K"},  {12, 256, 144, "Q4_K"},   {13, 256, 176, "Q5_K"},
      {14, 256, 210, "Q6_K"},  {34, 256, 54, "TQ1_0"},   {35, 256, 66, "TQ2_0"},
      {39, 32, 17, "MXFP4"},   {40, 64, 36, "NVFP4"},    {16, 256, 66, "IQ2_XXS"},
      {17, 256, 74, "IQ2_XS"}, {22, 256, 82, "IQ2_S"},   {18, 256, 98, "IQ3_XXS"},
      {21, 256, 110, "IQ3_S"}, {19, 256, 50, "IQ1_S"},   {29, 256, 56, "IQ1_M"},
      {20, 32, 18, "IQ4_NL"},  {23, 256, 136, "IQ4_XS"},
  };
  for (const Expected& expected : table) {
    INFO(expected.name);
    const DTypeInfo* info = find_dtype(expected.id);
    REQUIRE(info != nullptr);
    CHECK(info->name == expected.name);
    CHECK(info->block_weights == expected.weights);
    CHECK(info->block_bytes == expected.bytes);
    CHECK(&dtype_info(info->type) == info);
    CHECK(dtype_by_name(expected.name) == info->type);
  }
}

TEST_CASE("ids that no type has are not found") {
  for (const std::int64_t id : {-1, 4, 5, 31, 32, 33, 36, 41, 1 << 30}) {
    CHECK(find_dtype(id) == nullptr);
  }
  for (std::int64_t id = 0; id < kDTypeCount; ++id) {
    if (const DTypeInfo* info = find_dtype(id)) {
      CHECK(static_cast<std::int64_t>(info->type) == id);
    }
  }
}

TEST_CASE("type names are read in either case, and only whole") {
  CHECK(dtype_by_name("q4_0") == DType::kQ4_0);
  CHECK(dtype_by_name("bF16") == DType::kBF16);
  CHECK_FALSE(dtype_by_name("q4").has_value());
  CHECK_FALSE(dtype_by_name("").has_value());
  CHECK_FALSE(dtype_by_name("q4_0 ").has_value());
}

TEST_CASE("a row's bytes are its blocks' bytes") {
  CHECK(row_bytes(DType::kF32, 7) == 28);
  CHECK(row_bytes(DType::kBF16, 0) == 0);
  CHECK(row_bytes(DType::kQ4_0, 576) == 18 * 18);
  CHECK(row_bytes(DType::kQ8_0, 64) == 68);
  CHECK(row_bytes(DType::kQ4_K, 512) == 288);
}

}  // namespace windlass

#include "src/format/tensor_table.h"

#include "src/base/error.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

TensorTable example() {
  TensorTable table;
  table.files = {{"model.gguf", 4096}};
  table.metadata = {{"text", std::string("yes")}, {"flag", true},
                    {"signed", std::int64_t{-3}}, {"unsigned", std::uint64_t{7}},
                    {"huge", ~std::uint64_t{0}},  {"real", 2.5}};
  table.arrays = {{"list", {4, 3, {FileId{0}, 100, 12}}}};
  table.tensors = {{"a", DType::kF32, {2, 3, 4}, {FileId{0}, 1024, 96}},
                   {"b", DType::kQ8_0, {5, 64}, {FileId{0}, 2048, 340}},
                   {"scalar", DType::kF32, {}, {FileId{0}, 3000, 4}}};
  return table;
}

}  // namespace

TEST_CASE("rows are all dimensions but the last") {
  const TensorTable table = example();
  CHECK(table.tensors[0].n_rows() == 6);
  CHECK(table.tensors[0].n_cols() == 4);
  CHECK(table.tensors[0].row_bytes() == 16);
  CHECK(table.tensors[1].row_bytes() == 68);
  CHECK(table.tensors[2].n_rows() == 1);
  CHECK(table.tensors[2].n_cols() == 1);
  CHECK(table.weight_bytes() == 96 + 340 + 4);
}

TEST_CASE("tensors are found by name once the index is built") {
  TensorTable table = example();
  CHECK(table.find("b") == kNoTensor);
  table.build_index();
  CHECK(table.find("b") == TensorId{1});
  CHECK(table.at(table.find("scalar")).name == "scalar");
  CHECK(table.find("c") == kNoTensor);
}

TEST_CASE("a tensor that appears twice is refused with both places") {
  TensorTable table = example();
  table.tensors[1].name = table.tensors[0].name;
  CHECK_THROWS_WITH(table.build_index(),
                    Contains("model.gguf: byte 2048: tensor 'a' appears a second time") &&
                        Contains("first at byte 1024"));
}

TEST_CASE("integers of either sign are found and held to their range") {
  const TensorTable table = example();
  CHECK(table.find_int("signed", -10, 10) == -3);
  CHECK(table.find_int("unsigned", 7, 7) == 7);
  CHECK(table.find_int("absent", 0, 1) == std::nullopt);
  CHECK_THROWS_WITH(table.find_int("signed", 0, 10), Contains("'signed' is -3, outside 0 to 10"));
  CHECK_THROWS_WITH(table.find_int("unsigned", 0, 6), Contains("'unsigned' is 7, outside 0 to 6"));
  CHECK_THROWS_WITH(table.find_int("huge", 0, 1), Contains("18446744073709551615, outside 0 to 1"));
  CHECK_THROWS_WITH(table.require_int("absent", 0, 1),
                    Contains("model.gguf: metadata key 'absent' is missing"));
}

TEST_CASE("a key of another type is an error that names both types") {
  const TensorTable table = example();
  CHECK(*table.find_string("text") == "yes");
  CHECK(table.find_bool("flag") == true);
  CHECK(table.find_float("real") == 2.5);
  CHECK(table.find_string("absent") == nullptr);
  CHECK_THROWS_WITH(table.find_string("flag"), Contains("'flag' is a bool where a string is"));
  CHECK_THROWS_WITH(table.find_int("real", 0, 9), Contains("is a float where an integer is"));
  CHECK_THROWS_WITH(table.find_int("text", 0, 9), Contains("is a string where an integer is"));
  CHECK_THROWS_WITH(table.find_float("unsigned"), Contains("is an integer where a float is"));
  CHECK_THROWS_WITH(table.find_bool("list"), Contains("'list' is an array where a bool is"));
}

}  // namespace windlass

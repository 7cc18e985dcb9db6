#include "src/model/fingerprint.h"

#include <filesystem>

#include "src/model/model.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using namespace windlass::testing;

const std::string kModel = WINDLASS_SOURCE_DIR "/tests/golden/models/llama/model.gguf";

std::uint64_t fingerprint_of(const std::string& path) {
  return model_fingerprint(read_tensor_table(path));
}

TEST_CASE("a copy under another name has the same fingerprint, another model another") {
  const TempDir folder;
  std::filesystem::copy_file(kModel, folder.file("b.gguf"));
  CHECK(fingerprint_of(kModel) == fingerprint_of(folder.file("b.gguf")));
  CHECK(fingerprint_of(kModel) !=
        fingerprint_of(WINDLASS_SOURCE_DIR "/tests/golden/models/llama3_rope/model.gguf"));
}

TEST_CASE("a weight changed at a tensor's beginning or end, or a number of the header, shows") {
  const TempDir folder;
  const std::string whole = read_file(kModel);
  const TensorTable table = read_tensor_table(kModel);
  const std::uint64_t expected = fingerprint_of(kModel);
  std::vector<std::int64_t> places;
  for (const TensorInfo& tensor : table.tensors) {
    places.push_back(tensor.extent.offset_bytes);
    places.push_back(tensor.extent.end_bytes() - 1);
  }
  for (const std::int64_t place : places) {
    std::string changed = whole;
    changed[static_cast<std::size_t>(place)] ^= 1;
    write_file(folder.file("b.gguf"), changed);
    INFO("byte " << place);
    CHECK(fingerprint_of(folder.file("b.gguf")) != expected);
  }
  std::string renamed = whole;
  const std::size_t at = renamed.find("llama.block_count");
  REQUIRE(at != std::string::npos);
  renamed[at + 6] = 'B';
  write_file(folder.file("b.gguf"), renamed);
  CHECK(fingerprint_of(folder.file("b.gguf")) != expected);
}

}  // namespace
}  // namespace windlass

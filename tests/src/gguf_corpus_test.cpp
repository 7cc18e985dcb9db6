// The fuzzing corpus and seeded mutations of it through the fuzzer's own target, without clang:
// what is bad is refused by an Error that names the byte, and no input makes the parser ask for
// much more memory than the input has bytes.
#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "tests/src/watched_memory.h"
#include "tests/support/catch.h"
#include "tests/support/gguf_target.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using testing::GgufOutcome;

struct Seed {
  std::string name;
  std::string bytes;
};

std::vector<Seed> corpus() {
  std::vector<Seed> seeds;
  for (const auto& entry :
       std::filesystem::directory_iterator(WINDLASS_SOURCE_DIR "/tests/corpus/gguf")) {
    seeds.push_back({entry.path().filename(), testing::read_file(entry.path())});
  }
  std::sort(seeds.begin(), seeds.end(),
            [](const Seed& a, const Seed& b) { return a.name < b.name; });
  REQUIRE(seeds.size() > 40);
  return seeds;
}

std::string seed_bytes(const std::string& name) {
  return testing::read_file(WINDLASS_SOURCE_DIR "/tests/corpus/gguf/" + name);
}

// Runs the target and checks the memory it asked for. The constants: 64 KiB is the read buffer; a
// table's entry is some 20 times its least form in the file, and a growing vector asks for twice
// that; 16 KiB is a model of one layer's graph.
testing::GgufResult run_watched(const std::string& bytes) {
  testing::MemoryWatch watch;
  const testing::GgufResult result = testing::run_gguf_target(std::as_bytes(std::span(bytes)));
  const testing::MemoryRequests requests = watch.stop();
  INFO("largest request " << requests.largest_bytes << " B, all requests " << requests.sum_bytes
                          << " B");
  const std::size_t fixed = (64 + 16) * 1024;
  if (requests.largest_bytes > fixed + 40 * bytes.size()) FAIL("one huge allocation");
  if (requests.sum_bytes > 2 * fixed + 100 * bytes.size()) FAIL("huge allocations in sum");
  return result;
}

}  // namespace

TEST_CASE("every file of the corpus has the outcome that its name says") {
  for (const Seed& seed : corpus()) {
    INFO(seed.name);
    const testing::GgufResult result = run_watched(seed.bytes);
    INFO(result.error);
    if (seed.name.starts_with("model_")) CHECK(result.outcome == GgufOutcome::kModel);
    if (seed.name.starts_with("ok_")) CHECK(result.outcome == GgufOutcome::kParsed);
    if (seed.name.starts_with("bad_")) {
      CHECK(result.outcome == GgufOutcome::kRefused);
      CHECK_THAT(result.error, Contains("memory.gguf: byte "));
    }
  }
}

TEST_CASE("a refused file's error names the offset and what is wrong there") {
  const auto [file, message] = GENERATE(table<const char*, const char*>({
      {"bad_empty.gguf", "byte 0: the file is empty"},
      {"bad_magic.gguf", "byte 0: not a GGUF file"},
      {"bad_version_1.gguf", "byte 4: GGUF version 1"},
      {"bad_big_endian.gguf", "byte 4: a big-endian GGUF file"},
      {"bad_tensor_count.gguf", "byte 8: the tensor count is 1152921504606846976"},
      {"bad_metadata_count.gguf", "byte 16: the metadata count is 1152921504606846976"},
      {"bad_counts_cut.gguf",
       "the tensor count is 12, but the 4 B left in the file hold at most 0"},
      {"bad_truncated_metadata.gguf", "but the 184 B left in the file hold at most 7"},
      {"bad_string_past_end.gguf", "byte 39: the length of a metadata string is 300 B"},
      {"bad_key_too_long.gguf", "more than the 65535 B allowed"},
      {"bad_empty_key.gguf", "byte 24: a metadata key is empty"},
      {"bad_value_type.gguf", "byte 35: unknown metadata value type 13"},
      {"bad_bool.gguf", "byte 39: a bool is 2"},
      {"bad_array_count.gguf", "byte 43: an array claims 2305843009213693952 elements"},
      {"bad_array_of_arrays.gguf", "byte 39: an array of arrays"},
      {"bad_array_type.gguf", "byte 39: unknown array element type 99"},
      {"bad_string_array.gguf", "the length of an array's string is 1099511627776 B"},
      {"bad_duplicate_key.gguf", "metadata key 'key' appears a second time"},
      {"bad_alignment.gguf", "general.alignment is 24, not a power of two"},
      {"bad_alignment_type.gguf", "general.alignment is not an unsigned integer"},
      {"bad_dims_count.gguf", "byte 38: tensor 'tensor' has 5 dimensions"},
      {"bad_dim_zero.gguf", "byte 50: dimension 1 of tensor 'tensor' is 0"},
      {"bad_dims_overflow.gguf", "dimensions of tensor 'tensor' overflow"},
      {"bad_bytes_overflow.gguf", "bytes of tensor 'tensor' overflow"},
      {"bad_type.gguf", "byte 50: tensor 'tensor' has the unknown type id 4"},
      {"bad_partial_block.gguf", "rows of 33 weights are not whole Q4_0 blocks of 32"},
      {"bad_offset_unaligned.gguf", "the offset 8 of tensor 'tensor' is not a multiple"},
      {"bad_offset_past_end.gguf", "passes the end of the file (576 B)"},
      {"bad_tensor_past_end.gguf", "passes the end of the file (576 B)"},
      {"bad_truncated_data.gguf", "'output.weight'"},
      {"bad_tensor_name_empty.gguf", "byte 24: a tensor's name is empty"},
      {"bad_tensor_name_long.gguf", "2000 B, more than the 1024 B allowed"},
      {"bad_overlap.gguf", "tensor 'b' begins before tensor 'a' ends"},
      {"bad_duplicate_tensor.gguf", "tensor 'a\\x0ab\\x1b' appears a second time"},
  }));
  INFO(file);
  CHECK_THAT(run_watched(seed_bytes(file)).error, Contains(message));
}

TEST_CASE("a model file cut at any byte is refused") {
  const std::string whole = seed_bytes("model_q4_0.gguf");
  REQUIRE(run_watched(whole).outcome == GgufOutcome::kModel);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const testing::GgufResult result = run_watched(whole.substr(0, size));
    // The last tensor's padding carries nothing: 144 B of Q4_0, padded to 160.
    const bool only_padding_lost = size + 16 >= whole.size();
    if ((result.outcome == GgufOutcome::kModel) != only_padding_lost) FAIL("cut at byte " << size);
  }
}

TEST_CASE("any eight bytes of a header set to huge or odd values end in a result or an Error") {
  for (const Seed& seed : corpus()) {
    const std::size_t header = std::min<std::size_t>(seed.bytes.size(), 1200);
    for (const std::uint64_t value :
         {~std::uint64_t{0}, std::uint64_t{1} << 63, (std::uint64_t{1} << 63) - 1,
          std::uint64_t{1} << 32, std::uint64_t{0xffffffff}, std::uint64_t{0}}) {
      for (std::size_t at = 0; at + 8 <= header; ++at) {
        std::string bytes = seed.bytes;
        std::memcpy(bytes.data() + at, &value, 8);
        run_watched(bytes);
      }
    }
  }
}

TEST_CASE("random byte flips end in a result or an Error") {
  const std::vector<Seed> seeds = corpus();
  std::mt19937 random(20240607);
  int refused = 0, accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = seeds[random() % seeds.size()].bytes;
    if (bytes.empty()) continue;
    const auto flips = 1 + random() % 4;
    for (unsigned flip = 0; flip < flips; ++flip) {
      bytes[random() % std::min<std::size_t>(bytes.size(), 1200)] = static_cast<char>(random());
    }
    ++(run_watched(bytes).outcome == GgufOutcome::kRefused ? refused : accepted);
  }
  CHECK(refused > 1000);
  CHECK(accepted > 1000);
}

}  // namespace windlass

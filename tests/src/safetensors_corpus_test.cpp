// The safetensors corpus and seeded mutations of it through the fuzzer's own target, without clang.
#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "tests/src/watched_memory.h"
#include "tests/support/catch.h"
#include "tests/support/safetensors_target.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using testing::SafetensorsOutcome;
using testing::SafetensorsResult;

struct Seed {
  std::string name, bytes;
};

const std::string kFolder = WINDLASS_SOURCE_DIR "/tests/corpus/safetensors/";

std::vector<Seed> corpus() {
  std::vector<Seed> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    seeds.push_back({entry.path().filename(), testing::read_file(entry.path())});
  }
  std::sort(seeds.begin(), seeds.end(),
            [](const Seed& a, const Seed& b) { return a.name < b.name; });
  REQUIRE(seeds.size() > 45);
  return seeds;
}

// Memory asked for stays in proportion: a tensor's 60 B of JSON become some 400 B in three tables,
// which vectors double while they grow; fixed: the read buffer, the config, one layer's graph.
void check_memory(const testing::MemoryRequests& requests, std::size_t size_bytes) {
  INFO("largest " << requests.largest_bytes << " B, sum " << requests.sum_bytes << " B");
  constexpr std::size_t kFixedBytes = 128 * 1024;
  if (requests.largest_bytes > kFixedBytes + 40 * size_bytes) FAIL("one huge allocation");
  if (requests.sum_bytes > 2 * kFixedBytes + 200 * size_bytes) FAIL("huge allocations in sum");
}

SafetensorsResult run_watched(const std::string& bytes) {
  testing::MemoryWatch watch;
  const SafetensorsResult result = testing::run_safetensors_target(std::as_bytes(std::span(bytes)));
  check_memory(watch.stop(), bytes.size());
  return result;
}

std::string seed_error(const std::string& name) {
  return run_watched(testing::read_file(kFolder + name + ".safetensors")).error;
}

}  // namespace

TEST_CASE("every safetensors file of the corpus has the outcome that its name says") {
  for (const Seed& seed : corpus()) {
    INFO(seed.name);
    const SafetensorsResult result = run_watched(seed.bytes);
    INFO(result.error);
    if (seed.name.starts_with("model_")) CHECK(result.outcome == SafetensorsOutcome::kModel);
    if (seed.name.starts_with("ok_")) CHECK(result.outcome == SafetensorsOutcome::kParsed);
    if (seed.name.starts_with("bad_")) CHECK(result.outcome != SafetensorsOutcome::kModel);
    if (seed.name.starts_with("bad_")) CHECK_THAT(result.error, StartsWith("memory"));
  }
}

TEST_CASE("a refused safetensors header's error names what is wrong") {
  const auto [file, message] = GENERATE(table<const char*, const char*>({
      {"bad_empty", "byte 0: the file is empty"},
      {"bad_short", "the file ends inside the header"},
      {"bad_length", "the length of the header is 1152921504606846976 B"},
      {"bad_length_past_end", "the length of the header is 3 B, but 2 B are left"},
      {"bad_no_json", "byte 9: this is not valid JSON"},
      {"bad_trailing", "byte 12: this is not valid JSON"},
      {"bad_truncated_json", "not valid JSON"},
      {"bad_utf8", "not valid JSON"},
      {"bad_array", "an array at the header's start"},
      {"bad_number", "a number at the header's start"},
      {"bad_depth", "nests deeper than 3 levels"},
      {"bad_deep", "an array at the header's start"},
      {"bad_deep_objects", "an object among a tensor's fields ('a')"},
      {"bad_tensor_is_text", "a string in place of a tensor ('t')"},
      {"bad_tensor_is_null", "a null in place of a tensor ('t')"},
      {"bad_metadata_number", "a number in __metadata__"},
      {"bad_dtype", "tensor 't' has the unknown type 'Q4_0'"},
      {"bad_dtype_number", "a number among a tensor's fields ('t')"},
      {"bad_no_dtype", "tensor 't' lacks its dtype"},
      {"bad_no_shape", "tensor 't' lacks its shape"},
      {"bad_no_offsets", "tensor 't' lacks its data_offsets"},
      {"bad_one_offset", "tensor 't' lacks its data_offsets"},
      {"bad_three_offsets", "a number in data_offsets ('t')"},
      {"bad_offset_fraction", "a fraction in data_offsets ('t')"},
      {"bad_offset_negative", "a number in data_offsets ('t')"},
      {"bad_offsets_reversed", "a number in data_offsets ('t')"},
      {"bad_offset_huge", "a number past 63 bits in data_offsets ('t')"},
      {"bad_size", "data_offsets over 16 B, but its shape and type F32 make 24 B"},
      {"bad_dim_negative", "a number in a shape ('t')"},
      {"bad_dims_overflow", "the dimensions of tensor 't' overflow"},
      {"bad_dims_count", "a number in a shape ('t')"},
      {"bad_past_end", "tensor 't' ends at byte 32 of the tensor data, which has 16 B"},
      {"bad_far_past_end", "is the file truncated?"},
      {"bad_unknown_field", "an array among a tensor's fields ('t')"},
      {"bad_two_shapes", "an array among a tensor's fields ('t')"},
      {"bad_overlap", "tensor 'b' begins before tensor 'a' ends"},
      {"bad_truncated_data", "is the file truncated?"},
  }));
  INFO(file);
  CHECK_THAT(seed_error(file), Contains(message));
}

TEST_CASE("a safetensors file cut at any byte is refused") {
  const std::string whole = testing::read_file(kFolder + "model_f16_odd.safetensors");
  REQUIRE(run_watched(whole).outcome == SafetensorsOutcome::kModel);
  for (std::size_t size = 0; size < whole.size(); size += size < 2000 ? 1 : 97) {
    if (run_watched(whole.substr(0, size)).outcome != SafetensorsOutcome::kRefused) {
      FAIL("cut at byte " << size);
    }
  }
}

TEST_CASE("random changes to safetensors headers end in a result or an Error") {
  std::vector<Seed> seeds = corpus();
  for (int i = 0; i < 10; ++i) {  // most seeds are bad already
    for (const char* good : {"model_f32", "ok_metadata", "ok_zero_size"}) {
      seeds.push_back({good, testing::read_file(kFolder + good + ".safetensors")});
    }
  }
  const std::string pieces = "{}[]:,\"0129-.eEtfn\\\xff \n";
  std::mt19937 random(20261123);
  int refused = 0, accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = seeds[random() % seeds.size()].bytes;
    if (bytes.empty()) continue;
    const auto changes = 1 + random() % 4;
    for (unsigned change = 0; change < changes; ++change) {
      const std::size_t at = random() % std::min<std::size_t>(bytes.size(), 1500);
      bytes[at] =
          random() % 2 == 0 ? static_cast<char>(random()) : pieces[random() % pieces.size()];
    }
    const bool kept = run_watched(bytes).outcome != SafetensorsOutcome::kRefused;
    ++(kept ? accepted : refused);
  }
  CHECK(refused > 1000);
  CHECK(accepted > 300);
}

TEST_CASE("random changes to an index or a config.json end in a result or an Error") {
  std::vector<Seed> seeds = corpus();
  std::erase_if(seeds, [](const Seed& seed) { return !seed.name.ends_with(".json"); });
  REQUIRE(seeds.size() >= 7);
  for (const Seed& seed : seeds) {
    INFO(seed.name);
    const std::string error = seed.name.starts_with("index_")
                                  ? testing::run_index_target(seed.bytes)
                                  : testing::run_config_target(seed.bytes);
    CHECK(error.empty() == (seed.name == "index_two.json"));  // a config alone has no tensors
  }
  const std::string pieces = "{}[]:,\"019-.e";
  std::mt19937 random(20261124);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = seeds[random() % seeds.size()].bytes;
    const auto changes = 1 + random() % 3;
    for (unsigned change = 0; change < changes; ++change) {
      bytes[random() % bytes.size()] =
          random() % 3 == 0 ? static_cast<char>(random()) : pieces[random() % pieces.size()];
    }
    testing::MemoryWatch watch;
    testing::run_index_target(bytes);
    testing::run_config_target(bytes);
    check_memory(watch.stop(), 2 * bytes.size());
  }
}

}  // namespace windlass

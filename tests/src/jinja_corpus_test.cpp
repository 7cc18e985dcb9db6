// The fuzzing corpus and seeded mutations of it through the fuzzer's own target, without clang: no
// template takes more than its limits, crashes, or leaves a circle of values behind.
#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/jinja_target.h"
#include "tests/support/seed.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

struct Seed {
  std::string name;
  std::string source;
};

std::vector<Seed> corpus() {
  std::vector<Seed> seeds;
  for (const auto& entry :
       std::filesystem::directory_iterator(WINDLASS_SOURCE_DIR "/tests/corpus/jinja"))
    seeds.push_back({entry.path().filename(), testing::read_file(entry.path())});
  std::sort(seeds.begin(), seeds.end(),
            [](const Seed& a, const Seed& b) { return a.name < b.name; });
  REQUIRE(seeds.size() > 25);
  return seeds;
}

// Bytes changed, cut, doubled, or taken from another template.
std::string mutated(const std::vector<Seed>& seeds, std::mt19937_64& random) {
  const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  std::string source = seeds[pick(seeds.size())].source.substr(0, 4096);
  for (std::size_t n = 1 + pick(4); n > 0 && !source.empty(); --n) {
    const std::size_t at = pick(source.size());
    const std::size_t length = 1 + pick(std::min<std::size_t>(source.size() - at, 24));
    const std::string& other = seeds[pick(seeds.size())].source;
    switch (pick(4)) {
      case 0:
        source[at] = "{}%#()[]|~+-*/.,:=<>'\"_ax09 \n"[pick(29)];
        break;
      case 1:
        source.erase(at, length);
        break;
      case 2:
        source.insert(at, source.substr(at, length));
        break;
      default:
        source.insert(at, other.substr(pick(other.size()), length));
    }
  }
  return source;
}

}  // namespace

TEST_CASE("every template of the corpus has the outcome that its name says") {
  for (const Seed& seed : corpus()) {
    INFO(seed.name);
    const testing::JinjaResult result =
        testing::run_jinja_target(seed.source, {.max_steps = 2'000'000});
    INFO(result.error);
    CHECK(result.rendered == seed.name.starts_with("ok_"));
    CHECK(result.error.empty() == result.rendered);
  }
}

TEST_CASE("random changes of templates give text or an error, within their limits") {
  INFO("WINDLASS_TEST_SEED=" << test_seed());
  std::mt19937_64 random(test_seed());
  const std::vector<Seed> seeds = corpus();
  int n_rendered = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string source = mutated(seeds, random);
    const testing::JinjaResult result = testing::run_jinja_target(source, testing::kFuzzLimits);
    if (result.rendered == result.error.empty()) {
      n_rendered += result.rendered ? 1 : 0;
    } else {
      FAIL(source);
    }
    if (result.text.size() > 4u << 20) FAIL(source);
  }
  CHECK(n_rendered > 100);
}

}  // namespace windlass

// The fuzzing corpora of grammars and schemas, and seeded mutations of them, through the fuzzers'
// own target, without clang: everything ends in time, with a grammar or a one-line error.
#include <algorithm>
#include <filesystem>
#include <random>

#include "tests/support/catch.h"
#include "tests/support/grammar_target.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

std::vector<std::string> corpus(const std::string& name) {
  std::vector<std::string> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(WINDLASS_SOURCE_DIR "/tests/corpus/" + name)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  REQUIRE(paths.size() >= 5);
  std::vector<std::string> texts;
  for (const std::string& path : paths) texts.push_back(testing::read_file(path));
  return texts;
}

// Bytes changed, stretches repeated or dropped, pieces of another text put in.
std::string mutate(std::string text, const std::string& other, std::mt19937& random) {
  for (auto n = 1 + random() % 4; n > 0 && !text.empty(); --n) {
    const std::size_t at = random() % text.size();
    const std::size_t size = 1 + random() % 12;
    switch (random() % 4) {
      case 0:
        text[at] = static_cast<char>(random() % 256);
        break;
      case 1:
        text.erase(at, size);
        break;
      case 2:
        text.insert(at, text.substr(at, size));
        break;
      default:
        text.insert(at, other.substr(random() % other.size(), size));
    }
  }
  return text;
}

void run_mutations(const std::string& name, bool is_schema) {
  const std::vector<std::string> texts = corpus(name);
  std::mt19937 random(20261123);
  int n_refused = 0;
  constexpr int kRounds = 300;
  for (int i = 0; i < kRounds; ++i) {
    const std::string& text = texts[random() % texts.size()];
    const std::string& other = texts[random() % texts.size()];
    n_refused += !testing::run_grammar_target(mutate(text, other, random), is_schema).empty();
  }
  CHECK(n_refused > kRounds / 10);
  CHECK(n_refused < kRounds);  // some are still grammars
}

}  // namespace

TEST_CASE("every grammar of the corpus, and mutations of it, end in an answer") {
  for (const std::string& text : corpus("gbnf")) testing::run_grammar_target(text, false);
  run_mutations("gbnf", false);
}

TEST_CASE("every schema of the corpus, and mutations of it, end in an answer") {
  for (const std::string& text : corpus("json_schema")) testing::run_grammar_target(text, true);
  run_mutations("json_schema", true);
}

}  // namespace windlass

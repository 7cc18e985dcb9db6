// The fuzzing corpus of tokenizer.json and seeded mutations of it through the fuzzer's own target.
#include <algorithm>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"
#include "tests/support/tokenizer_target.h"

namespace windlass {
namespace {

struct Seed {
  std::string name;
  std::string document;
};

std::vector<Seed> corpus() {
  std::vector<Seed> seeds;
  for (const auto& entry :
       std::filesystem::directory_iterator(WINDLASS_SOURCE_DIR "/tests/corpus/tokenizer")) {
    seeds.push_back({entry.path().stem(), testing::read_file(entry.path())});
  }
  std::sort(seeds.begin(), seeds.end(),
            [](const Seed& a, const Seed& b) { return a.name < b.name; });
  REQUIRE(seeds.size() > 30);
  return seeds;
}

std::string error_of(const std::string& name) {
  return testing::run_tokenizer_target(
             testing::read_file(WINDLASS_SOURCE_DIR "/tests/corpus/tokenizer/" + name + ".json"))
      .error;
}

}  // namespace

TEST_CASE("every tokenizer.json of the corpus has the outcome that its name says") {
  for (const Seed& seed : corpus()) {
    INFO(seed.name);
    const testing::TokenizerResult result = testing::run_tokenizer_target(seed.document);
    INFO(result.error);
    CHECK(result.is_accepted == seed.name.starts_with("ok_"));
    CHECK(result.error.empty() == result.is_accepted);
  }
}

TEST_CASE("a refused tokenizer.json's error names the place and what would be right") {
  const auto [name, message] = GENERATE(table<const char*, const char*>({
      {"bad_nothing", "malformed JSON"},
      {"bad_cut", "malformed JSON"},
      {"bad_utf8", "malformed JSON"},
      {"bad_array", "no JSON object"},
      {"bad_deep", "nested deeper than 64"},
      {"bad_huge_id", "2 tokens, but ids up to 2000000000"},
      {"bad_negative_id", "a token with the id -1"},
      {"bad_merge_unknown", "model.merges entry 0 does not join"},
      {"bad_merge_alone", "'model.merges' holds a merge of one token"},
      {"bad_merge_triple", "more than two tokens"},
      {"bad_model_type", "model has the unknown type 'BEP'; the nearest is BPE"},
      {"bad_normalizer", "normalizer has the unknown type 'NFX'; the nearest is NFC"},
      {"bad_pre_tokenizer", "unknown type 'Metaspaces\\x0a'; the nearest is Metaspace"},
      {"bad_post_processor", "post_processor has the unknown type 'Templates'"},
      {"bad_template_id", "post_processor adds the token 99, but there are 6"},
      {"bad_regex", "pre_tokenizer.pretokenizers[0]: the expression has an open group"},
      {"bad_class_intersection", "the expression has '&&' in a class"},
      {"bad_behavior", "behavior is not one of Isolated"},
      {"bad_charsmap", "a character map of"},
      {"bad_suffix", "model.end_of_word_suffix '</w>'"},
      {"bad_unigram_score", "'model.vocab' holds"},
      {"bad_unigram_unk", "model.unk_id is -1"},
      {"bad_unigram_object", "no list of tokens with scores"},
      {"bad_wordpiece_unk", "model.unk_token is not a token"},
      {"bad_added_id", "added_tokens[0].id is not an integer"},
  }));
  INFO(name);
  CHECK_THAT(error_of(name), Contains(message));
}

TEST_CASE("a tokenizer.json cut at any byte is refused") {
  const std::string whole =
      testing::read_file(WINDLASS_SOURCE_DIR "/tests/corpus/tokenizer/ok_bpe_steps.json");
  REQUIRE(testing::run_tokenizer_target(whole).is_accepted);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    if (testing::run_tokenizer_target(whole.substr(0, size)).is_accepted) FAIL("cut at " << size);
  }
}

TEST_CASE("random changes to a tokenizer.json end in a tokenizer or an Error") {
  const std::vector<Seed> seeds = corpus();
  const std::string pieces = "\"{}[]:,0129-.eatrue\\u2581<>|+*?()^$ ";
  std::mt19937 random(20261123);
  int refused = 0, accepted = 0;
  for (int i = 0; i < 6000; ++i) {
    std::string document = seeds[random() % seeds.size()].document;
    if (document.empty()) continue;
    for (auto n = 1 + random() % 3; n > 0; --n) {
      const std::size_t at = random() % document.size();
      const std::size_t other = random() % document.size();
      switch (random() % 4) {
        case 0:
          document[at] = pieces[random() % pieces.size()];
          break;
        case 1:
          document.insert(document.begin() + static_cast<std::ptrdiff_t>(at),
                          pieces[random() % pieces.size()]);
          break;
        case 2: {
          const std::string copy = document.substr(other, random() % 24);
          document.insert(at, copy);
        } break;
        default:
          document.erase(at, 1 + random() % 8);
          if (document.empty()) document.push_back('{');
      }
    }
    ++(testing::run_tokenizer_target(document).is_accepted ? accepted : refused);
  }
  CHECK(refused > 500);
  CHECK(accepted > 100);
}

}  // namespace windlass

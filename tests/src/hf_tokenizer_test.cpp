// tokenizer.json against what the tokenizers library gives (tests/golden/tokenizer/hf), and its
// damaged forms.
#include "src/text/hf_tokenizer.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/base/error.h"
#include "src/text/tokenizer.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

using Ids = std::vector<std::int32_t>;
using Json = nlohmann::json;

const std::string kFolder = WINDLASS_SOURCE_DIR "/tests/golden/tokenizer/hf/";

Json read_json(const std::string& path) {
  std::ifstream file(path);
  return Json::parse(file);
}

// Compares all texts.
void check_golden(const std::string& name, const std::string& suffix = ".json") {
  const auto tokenizer = read_tokenizer(kFolder + name + suffix);
  const Json texts = read_json(kFolder + "texts.json");
  const Json ids = read_json(kFolder + name + ".ids.json");
  REQUIRE(texts.size() == ids.size());
  REQUIRE(texts.size() > 300);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (ids[i].is_null()) continue;  // the generator says which
    const std::string text = texts[i];
    INFO(name << " text " << i << ": " << texts[i].dump(-1, ' ', true).substr(0, 300));
    CHECK(tokenizer->encode(text, {true, true}) == ids[i][0].get<Ids>());
    CHECK(tokenizer->encode(text, {false, false}) == ids[i][1].get<Ids>());
  }
}

}  // namespace

TEST_CASE("BPE over bytes from tokenizer.json equals the tokenizers library on every text") {
  for (const char* name : {"llama3", "gpt4o", "qwen2", "falcon", "roberta"}) check_golden(name);
}

TEST_CASE("BPE with byte fallback from tokenizer.json equals the library on every text") {
  for (const char* name : {"llama2", "gemma", "mistral"}) check_golden(name);
}

TEST_CASE("Unigram from tokenizer.json equals the library on every text") { check_golden("t5"); }

TEST_CASE("WordPiece from tokenizer.json equals the library on every text") {
  for (const char* name : {"bert", "bert-cased"}) check_golden(name);
}

TEST_CASE("Unigram and WordPiece from GGUF equal the same vocabularies from tokenizer.json") {
  for (const char* name : {"t5", "bert"}) check_golden(name, ".gguf");
}

TEST_CASE("normalizers and splits of every kind equal the library on every text") {
  for (const char* name : {"pieces", "whitespace"}) check_golden(name);
}

}  // namespace windlass

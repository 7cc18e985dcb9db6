// What holds for every text: round trips over random Unicode, and texts without a break, which must
// take near-linear time.
#include <random>
#include <string>
#include <vector>

#include "src/text/tokenizer.h"
#include "src/text/utf8.h"
#include "tests/support/catch.h"
#include "tests/support/seed.h"

namespace windlass {
namespace {

const std::string kFolder = WINDLASS_SOURCE_DIR "/tests/golden/tokenizer/";

// Characters of all kinds that splits treat apart, long runs among them.
std::string random_text(std::mt19937_64& random) {
  constexpr std::pair<std::int32_t, std::int32_t> kRanges[] = {
      {0x20, 0x7E},     {'a', 'z'},       {'A', 'Z'},         {'0', '9'},
      {0, 0x1F},        {0x80, 0x24F},    {0x300, 0x36F},     {0x370, 0x6FF},
      {0x900, 0xDFF},   {0x2000, 0x206F}, {0x2580, 0x2600},   {0x3000, 0x30FF},
      {0x4E00, 0x9FFF}, {0xAC00, 0xD7FF}, {0xE000, 0xFFFF},   {' ', ' '},
      {'\n', '\n'},     {'\'', '\''},     {0x10000, 0x1FFFF}, {0xE0100, 0x10FFFF}};
  std::string text;
  for (auto parts = random() % 30; parts > 0; --parts) {
    const auto [low, high] = kRanges[random() % std::size(kRanges)];
    for (auto run = random() % 4 == 0 ? random() % 20 : 1; run > 0; --run) {
      append_utf8(low + static_cast<std::int32_t>(random() % static_cast<unsigned>(high - low + 1)),
                  text);
    }
  }
  return text;
}

std::string bytes_of(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  std::string bytes;
  for (const std::int32_t id : ids) bytes += tokenizer.token_bytes(id, true);
  return bytes;
}

std::string with_plain_spaces(std::string_view text) {
  std::string plain;
  while (!text.empty()) {
    const CodePoint point = next_code_point(text);
    append_utf8(point.value == 0x2581 ? ' ' : point.value, plain);
    text.remove_prefix(point.size_bytes);
  }
  return plain;
}

}  // namespace

TEST_CASE("random Unicode comes back from byte-level BPE, whatever the split") {
  INFO("WINDLASS_TEST_SEED=" << test_seed());
  for (const char* name :
       {"bpe4k-deepseek-coder", "bpe4k-deepseek-v3", "bpe4k-falcon", "bpe4k-gpt-2", "bpe4k-gpt-4o",
        "bpe4k-llama-bpe", "bpe4k-qwen2", "bpe4k-smollm", "bpe4k-tekken"}) {
    std::mt19937_64 random(test_seed());
    const auto tokenizer = read_tokenizer(kFolder + name + ".gguf");
    for (int i = 0; i < 1000; ++i) {
      const std::string text = random_text(random);
      REQUIRE(bytes_of(*tokenizer, tokenizer->encode(text, {i % 2 == 0, false})) == text);
    }
  }
}

TEST_CASE("random Unicode comes back from SentencePiece BPE, behind the space that it adds") {
  INFO("WINDLASS_TEST_SEED=" << test_seed());
  const auto prefixed = read_tokenizer(kFolder + "spm4k.gguf");
  const auto plain = read_tokenizer(kFolder + "spm4k-noprefix.gguf");
  const auto json = read_tokenizer(kFolder + "hf/gemma.json");
  const std::int32_t space = 3484;
  REQUIRE(prefixed->token_bytes(space, false) == " ");
  std::mt19937_64 random(test_seed());
  for (int i = 0; i < 3000; ++i) {
    const std::string text = random_text(random);
    const std::string spaced = with_plain_spaces(text);
    const TokenizeOptions options{false, false};
    const std::string behind_space = text.empty() ? text : bytes_of(*prefixed, {space}) + spaced;
    REQUIRE(bytes_of(*prefixed, prefixed->encode(text, options)) == behind_space);
    REQUIRE(bytes_of(*plain, plain->encode(text, options)) == spaced);
    REQUIRE(bytes_of(*json, json->encode(text, options)) == spaced);
  }
}

TEST_CASE("an id depends on its text alone, not on what was tokenized before") {
  INFO("WINDLASS_TEST_SEED=" << test_seed());
  for (const char* name : {"bpe4k-gpt-4o.gguf", "spm4k.gguf", "hf/t5.gguf", "hf/bert.gguf"}) {
    std::mt19937_64 random(test_seed());
    const auto used = read_tokenizer(kFolder + name);
    for (int i = 0; i < 500; ++i) used->encode(random_text(random), {});
    for (int i = 0; i < 20; ++i) {
      const std::string text = random_text(random);
      REQUIRE(used->encode(text, {}) == read_tokenizer(kFolder + name)->encode(text, {}));
    }
  }
}

TEST_CASE("a million bytes without a break are tokenized by every kind of tokenizer") {
  constexpr std::size_t kBytes = 1000000;
  for (const char* name : {"bpe4k-gpt-4o.gguf", "bpe4k-deepseek-coder.gguf", "spm4k.gguf",
                           "hf/t5.gguf", "hf/bert.gguf", "hf/qwen2.json", "hf/gemma.json"}) {
    const auto tokenizer = read_tokenizer(kFolder + name);
    // The last: marks in the wrong order, which normal forms must sort.
    for (const char* unit : {"a", "A", " ", "7", "<", "\xE4\xB8\xAD", "\xCC\x81\xCC\x96"}) {
      INFO(name << ", '" << unit << "'");
      std::string text;
      while (text.size() < kBytes) text += unit;
      text += "\xE2\x82\xAC";  // what comes after a run must not make it quadratic
      CHECK(!tokenizer->encode(text, {}).empty());
    }
  }
}

}  // namespace windlass

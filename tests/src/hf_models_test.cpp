// Small tokenizer.json files of unusual parts: the ids are those of the tokenizers library (0.23).
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "src/text/hf_document.h"
#include "src/text/hf_tokenizer.h"
#include "tests/support/catch.h"

namespace windlass {
namespace {

using Ids = std::vector<std::int32_t>;

struct Case {
  const char* name;
  const char* json;
  std::vector<std::pair<std::string, Ids>> texts;
};

// clang-format off
const Case kCases[] = {
    {"Unigram over bytes",
     R"x({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}, "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["<unk>", 0.0], ["a", -1.5], ["\u00c3", -1.0], ["\u00a9", -2.0], ["\u0120", -1.0]]}})x",
     {{"a\303\251", {1, 2, 3}}, {"\303\251 a", {2, 3, 4, 1}}, {"\344\270\255", {0}}}},
    {"WordPiece over bytes",
     R"x({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}, "model": {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {"<unk>": 0, "a": 1, "\u0120": 2, "##a": 3, "##\u0120": 4, "\u00c3": 5, "##\u00a9": 6, "##\u00c3\u00a9": 7, "\u0120\u0120": 8}}})x",
     {{"aa a", {1, 3, 2, 3}}, {"\303\251", {5, 6}}, {"a\303\251   a", {1, 7, 8, 2, 3}}}},
    {"WordPiece over words with spaces",
     R"x({"model": {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {"<unk>": 0, ".": 1, "##.": 2, "## ": 3, "1": 4, "##1": 5, " ": 6, "## 1": 7}}})x",
     {{". 1 .", {1, 7, 3, 2}}, {" 1", {6, 5}}, {"1  1", {4, 3, 7}}, {". x", {0}}}},
    {"WordPiece of a word that begins with ##",
     R"x({"model": {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {"<unk>": 0, "#": 1, "##a": 2, "##": 3, "###": 4, "a": 5}}})x",
     {{"##a", {2}}, {"##", {3}}, {"a##", {5, 4, 4}}, {"###", {4}}, {"a", {5}}}},
    {"byte tokens without a decoder",
     R"x({"model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "fuse_unk": false, "vocab": {"<unk>": 0, "a": 1, "<0xC3>": 2, "<0xA9>": 3, "<0x0A>": 4}, "merges": []}})x",
     {{"a\303\251\012", {1, 2, 3, 4}}, {"\303\274", {0}}}},
    {"byte tokens among the added ones",
     R"x({"added_tokens": [{"id": 0, "content": "<unk>", "special": true, "normalized": false, "lstrip": false, "rstrip": false, "single_word": false}, {"id": 2, "content": "<0xC3>", "special": true, "normalized": false, "lstrip": false, "rstrip": false, "single_word": false}, {"id": 3, "content": "<0xA9>", "special": true, "normalized": false, "lstrip": false, "rstrip": false, "single_word": false}], "decoder": {"type": "ByteFallback"}, "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "fuse_unk": false, "vocab": {"<unk>": 0, "a": 1, "<0xC3>": 2, "<0xA9>": 3, "<0x0A>": 4}, "merges": []}})x",
     {{"a\303\251\012", {1, 2, 3, 4}}, {"<0xC3>", {2}}}},
    {"scores that differ past a float",
     R"x({"model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["<unk>", 0.0], ["a", -1.00000001], ["aa", -2.00000003]]}})x",
     {{"aa", {1, 1}}, {"aaa", {1, 1, 1}}}},
    {"Whitespace and the joiners",
     R"x({"pre_tokenizer": {"type": "Whitespace"}, "model": {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {"<unk>": 0, "a": 1, "b": 2, "-": 3, "##b": 4, "##\u200d": 5}}})x",
     {{"a\342\200\215b", {1, 5, 4}}, {"a-b \342\200\214", {1, 3, 2, 0}}}},
    {"Strip of nothing but spaces",
     R"x({"normalizer": {"type": "Strip", "strip_left": true, "strip_right": false}, "model": {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {"<unk>": 0, "a": 1, " ": 2, "## ": 3}}})x",
     {{"   ", {}}, {"  a ", {1, 3}}}},
    {"BERT's control characters",
     R"x({"normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}, "pre_tokenizer": {"type": "BertPreTokenizer"}, "model": {"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {"<unk>": 0, "a": 1, "b": 2, "##b": 3}}})x",
     {{"a\013b", {1, 3}}, {"a\014b\302\205b", {1, 3, 3}}, {"a\011b", {1, 2}}}},
};
// clang-format on

}  // namespace

TEST_CASE("models beside unusual splits and normalizers give the library's ids") {
  for (const Case& known : kCases) {
    const HfSource source{known.name,
                          [&] { return std::make_unique<std::istringstream>(known.json); }};
    const TextTokenizer tokenizer(read_hf_tokenizer(source));
    for (const auto& [text, ids] : known.texts) {
      INFO(known.name << ": " << text);
      CHECK(tokenizer.encode(text, {}) == ids);
    }
  }
}

}  // namespace windlass

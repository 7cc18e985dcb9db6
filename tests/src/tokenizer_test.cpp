// The tokenizer against reference ids, and its behaviour on odd texts and damaged vocabularies.
#include "src/text/tokenizer.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "src/base/error.h"
#include "src/base/units.h"
#include "src/format/gguf.h"
#include "src/text/pre_tokenizer.h"
#include "src/text/split_families.h"
#include "tests/support/catch.h"
#include "tests/support/pieces.h"

namespace windlass {
namespace {

constexpr const char* kByteLevel[] = {"deepseek-coder", "deepseek-v3", "falcon", "gpt-2", "gpt-4o",
                                      "llama-bpe",      "qwen2",       "smollm", "tekken"};

const std::string kGolden = WINDLASS_SOURCE_DIR "/tests/golden/tokenizer/";

std::unique_ptr<Tokenizer> tokenizer_of(const std::string& file) {
  return make_tokenizer(read_gguf(kGolden + file));
}

const Tokenizer& smollm2() {
  static const std::unique_ptr<Tokenizer> tokenizer = tokenizer_of("smollm2-vocab.gguf");
  return *tokenizer;
}

std::string all_bytes(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  std::string bytes;
  for (const std::int32_t id : ids) bytes += tokenizer.token_bytes(id, true);
  return bytes;
}

// Compares every row of a golden file; returns how many there were.
int check_golden_file(const Tokenizer& tokenizer, const std::string& file) {
  std::ifstream rows(kGolden + file);
  int n_rows = 0;
  for (std::string line; std::getline(rows, line); ++n_rows) {
    const auto row = nlohmann::json::parse(line);
    const std::string text = row["text"];
    TokenizeOptions options;
    options.parse_special = row["parse_special"];
    options.add_special = row.value("add_special", false);
    INFO(file << " row " << n_rows + 1 << ": " << line.substr(0, 200));
    CHECK(tokenizer.encode(text, options) == row["ids"].get<std::vector<std::int32_t>>());
  }
  return n_rows;
}

// A vocabulary file that a test writes, removed with it.
class TemporaryFile {
 public:
  TemporaryFile()
      : path_(std::filesystem::temp_directory_path() /
              ("windlass_tokenizer_test_" + std::to_string(getpid()) + ".gguf")) {}
  ~TemporaryFile() { std::filesystem::remove(path_); }
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The parts of a small vocabulary: a, b, c, "ab", "abc" and specials; tests change one part.
struct SmallVocabulary {
  std::string model = "gpt2";
  std::string pre = "smollm";
  std::vector<std::string> tokens = {"a", "b", "c", "ab", "abc", "<s>", "<s>x", "ca", "\xC4\xA0"};
  std::vector<std::int32_t> types = {1, 1, 1, 1, 1, 3, 3, 4, 1};
  std::vector<std::string> merges = {"a b", "ab c"};
  bool adds_bos = false;
  bool tokens_are_numbers = false;

  std::unique_ptr<Tokenizer> make() const {
    const TemporaryFile file;
    GgufWriter writer(file.path());
    writer.add_metadata("general.architecture", std::string("llama"));
    writer.add_metadata("tokenizer.ggml.model", model);
    if (!pre.empty()) writer.add_metadata("tokenizer.ggml.pre", pre);
    if (tokens_are_numbers) writer.add_int_array("tokenizer.ggml.tokens", types);
    if (!tokens_are_numbers) writer.add_string_array("tokenizer.ggml.tokens", tokens);
    writer.add_int_array("tokenizer.ggml.token_type", types);
    writer.add_string_array("tokenizer.ggml.merges", merges);
    writer.add_metadata_u32("tokenizer.ggml.bos_token_id", 5);
    writer.add_metadata_u32("tokenizer.ggml.eos_token_id", 6);
    writer.add_metadata("tokenizer.ggml.add_bos_token", adds_bos);
    writer.begin_data();
    writer.finish();
    return make_tokenizer(read_gguf(file.path()));
  }
};

std::string error_of(const SmallVocabulary& vocabulary, ErrorCode code) {
  try {
    vocabulary.make();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "no error";
}

using Ids = std::vector<std::int32_t>;

}  // namespace

TEST_CASE("SmolLM2's tokens equal the reference's on every golden row") {
  CHECK(check_golden_file(smollm2(), "smollm2.jsonl") == 381);
}

TEST_CASE("byte-level BPE equals the reference on every golden row of every pre-tokenizer") {
  for (const char* pre : kByteLevel) {
    const std::string name = std::string("bpe4k-") + pre;
    CHECK(check_golden_file(*tokenizer_of(name + ".gguf"), name + ".jsonl") == 381);
  }
}

TEST_CASE("SentencePiece BPE equals the reference on every golden row") {
  for (const std::string name : {"spm4k", "spm4k-noprefix"}) {
    CHECK(check_golden_file(*tokenizer_of(name + ".gguf"), name + ".jsonl") == 367);
  }
}

TEST_CASE("the bytes of the tokens of a text join to the text when every byte has a token") {
  for (const char* pre : kByteLevel) {
    const std::string name = std::string("bpe4k-") + pre;
    const auto tokenizer = tokenizer_of(name + ".gguf");
    std::ifstream rows(kGolden + name + ".jsonl");
    for (std::string line; std::getline(rows, line);) {
      const std::string text = nlohmann::json::parse(line)["text"];
      for (const bool parse_special : {true, false}) {
        INFO(name << ": " << line.substr(0, 200));
        CHECK(all_bytes(*tokenizer, tokenizer->encode(text, {parse_special, false})) == text);
      }
    }
  }
}

TEST_CASE("the same text gives the same tokens again after others went through the word cache") {
  const std::string text = "The quick brown fox jumps over 13 lazy dogs; naïve café, 日本語.";
  const Ids first = smollm2().encode(text, {});
  for (int i = 0; i < 20000; ++i) smollm2().encode("word" + std::to_string(i * 7919) + "x", {});
  CHECK(smollm2().encode(text, {}) == first);
  CHECK(all_bytes(smollm2(), first) == text);
}

TEST_CASE("each byte that belongs to no character is tokenized as U+FFFD") {
  const std::string mark = "\xEF\xBF\xBD";
  const auto same = [](const std::string& damaged, const std::string& repaired) {
    INFO(repaired);
    CHECK(smollm2().encode(damaged, {}) == smollm2().encode(repaired, {}));
  };
  same("a\xFFz", "a" + mark + "z");
  same("\x80", mark);
  same("a\xE2\x82", "a" + mark + mark);                 // cut short
  same("\xE2\x82 z", mark + mark + " z");               // cut short by another character
  same("\xC0\xAF", mark + mark);                        // overlong
  same("\xED\xA0\x80", mark + mark + mark);             // surrogate
  same("\xF4\x90\x80\x80", mark + mark + mark + mark);  // past U+10FFFF
  same("\xF0\x9F\x98\x80\xF0\x9F", "\xF0\x9F\x98\x80" + mark + mark);
  CHECK(smollm2().encode("a\xFFz", {}) != smollm2().encode("az", {}));
}

TEST_CASE("a text may hold NUL bytes") {
  const std::string text("a\0b\0\0 c", 7);
  CHECK(all_bytes(smollm2(), smollm2().encode(text, {})) == text);
}

TEST_CASE("a megabyte without a break is tokenized like its parts") {
  // 'x' repeated merges only into runs of x, whatever the length: the bytes must come back.
  for (const std::string& unit :
       {std::string("x"), std::string(" "), std::string("ab"), std::string("\xE6\x97\xA5")}) {
    std::string text;
    while (text.size() < 1000000) text += unit;
    INFO(unit);
    const Ids ids = smollm2().encode(text, {});
    CHECK(all_bytes(smollm2(), ids) == text);
    CHECK(ids.size() < text.size());
  }
  const std::string indented = std::string(1000000, ' ') + "x";
  CHECK(all_bytes(smollm2(), smollm2().encode(indented, {})) == indented);
}

TEST_CASE("the tables of SmolLM2's tokenizer stay under 6 MiB, also after a huge word") {
  const auto tokenizer = tokenizer_of("smollm2-vocab.gguf");
  const std::int64_t at_first = tokenizer->size_bytes();
  CHECK(at_first < 6 * kMiB);
  CHECK(at_first > 49152 * 5 + 369170 / 2);  // the vocabulary's own bytes at least
  tokenizer->encode(std::string(200000, 'q'), {});
  CHECK(tokenizer->size_bytes() < at_first + 64 * kKiB);
}

TEST_CASE("special tokens are found by the longest text at the first place") {
  const auto tokenizer = SmallVocabulary().make();
  CHECK(tokenizer->encode("a<s>b", {}) == Ids{0, 5, 1});
  CHECK(tokenizer->encode("a<s>xb", {}) == Ids{0, 6, 1});
  CHECK(tokenizer->encode("<s><s>", {}) == Ids{5, 5});
  CHECK(tokenizer->encode("<s", {}).empty());  // '<' and 's' have no token in this vocabulary
}

TEST_CASE("without parse_special control tokens are text and user-defined ones are not") {
  const auto tokenizer = SmallVocabulary().make();
  const TokenizeOptions plain{false, false};
  CHECK(tokenizer->encode("abc<s>abc", plain) == Ids{4, 4});
  CHECK(tokenizer->encode("bcab", plain) == Ids{1, 7, 1});  // "ca" is user-defined: b, ca, b
}

TEST_CASE("merges go by rank, then from the left, and never across pieces") {
  SmallVocabulary small;
  small.types[7] = 1;  // "ca" is a plain token without a merge
  const auto tokenizer = small.make();
  CHECK(tokenizer->encode("abc", {}) == Ids{4});
  CHECK(tokenizer->encode("aabc", {}) == Ids{0, 4});
  CHECK(tokenizer->encode("ababcab", {}) == Ids{3, 4, 3});
  CHECK(tokenizer->encode("cab", {}) == Ids{2, 3});
  CHECK(tokenizer->encode("ab abc", {}) == Ids{3, 8, 4});
  CHECK(tokenizer->encode("", {}).empty());
}

TEST_CASE("of a rule given twice the first place counts") {
  SmallVocabulary small;
  small.tokens[7] = "bc";
  small.types[7] = 1;
  small.merges = {"a b", "b c", "a b"};
  CHECK(small.make()->encode("abc", {}) == Ids{3, 2});
}

TEST_CASE("a normal token is the one that merges make, not a control token of the same text") {
  SmallVocabulary small;
  small.types[3] = 3;  // "ab", control
  small.tokens[5] = "ab";
  small.types[5] = 1;
  CHECK(small.make()->encode("ab", {false, false}) == Ids{5});
  CHECK(small.make()->encode("ab", {true, false}) == Ids{3});
}

TEST_CASE("the beginning token is added when asked for and the file says so") {
  SmallVocabulary small;
  CHECK(small.make()->encode("ab", {true, true}) == Ids{3});
  small.adds_bos = true;
  const auto tokenizer = small.make();
  CHECK(tokenizer->adds_bos());
  CHECK(tokenizer->encode("ab", {true, true}) == Ids{5, 3});
  CHECK(tokenizer->encode("ab", {true, false}) == Ids{3});
}

TEST_CASE("the pieces of a text are cut at digits, contractions and Unicode's white space") {
  PreTokenizer split;
  for (const char* expression : find_split_family("smollm", "test").expressions) {
    if (expression != nullptr) split.add(RegexSplit{Regex(expression, "smollm")});
  }
  const auto pieces_of = [&](const std::string& text) { return testing::pieces_of(split, text); };
  using Pieces = std::vector<std::string>;
  CHECK(pieces_of("I'm  we'LL 12") == Pieces{"I", "'m", " ", " we", "'", "LL", " ", "1", "2"});
  CHECK(pieces_of("a  1 \n") == Pieces{"a", "  ", "1", " \n"});
  CHECK(pieces_of("a\xC2\x85\xC2\x85"
                  "b") == Pieces{"a", "\xC2\x85", "\xC2\x85", "b"});
  // U+180E is no white space since Unicode 6.3, though PCRE2 counts it as such.
  CHECK(pieces_of("a\xE1\xA0\x8E\xE1\xA0\x8E"
                  "b") == Pieces{"a", "\xE1\xA0\x8E\xE1\xA0\x8E", "b"});
  CHECK(pieces_of("").empty());
}

TEST_CASE("SmolLM2's special ids are those of its metadata") {
  CHECK(smollm2().n_vocab() == 49152);
  CHECK(smollm2().bos_id() == 1);
  CHECK(smollm2().eos_id() == 2);
  CHECK_FALSE(smollm2().adds_bos());
  CHECK(smollm2().special_id("<|im_start|>") == 1);
  CHECK(smollm2().special_id("the") == std::nullopt);
  Ids ends;
  for (std::int32_t id = 0; id < smollm2().n_vocab(); ++id) {
    if (smollm2().is_end_of_generation(id)) ends.push_back(id);
  }
  CHECK(ends == Ids{0, 2});  // <|endoftext|>, <|im_end|>
}

TEST_CASE("control tokens show their text only when asked") {
  CHECK(smollm2().token_bytes(2, true) == "<|im_end|>");
  CHECK(smollm2().token_bytes(2, false).empty());
  CHECK(smollm2().token_bytes(216, false) == " ");
}

TEST_CASE("a damaged or unknown vocabulary is refused by name") {
  SmallVocabulary small;
  small.model = "lama";
  CHECK_THAT(error_of(small, ErrorCode::kUnsupported),
             Contains("'lama'") && Contains("nearest is llama") && Contains("gpt2"));
  small = {};
  small.pre = "teken";
  CHECK_THAT(error_of(small, ErrorCode::kUnsupported),
             Contains("'teken'") && Contains("nearest is tekken") && Contains("smollm"));
  small = {};
  small.pre = "";
  CHECK_THAT(error_of(small, ErrorCode::kUnsupported), Contains("tokenizer.ggml.pre"));
  small = {};
  small.tokens_are_numbers = true;
  CHECK_THAT(error_of(small, ErrorCode::kBadFile), Contains("tokenizer.ggml.tokens is no list"));
  small = {};
  small.types.pop_back();
  CHECK_THAT(error_of(small, ErrorCode::kBadFile), Contains("9 tokens but 8"));
  small = {};
  small.types[3] = 9;
  CHECK_THAT(error_of(small, ErrorCode::kBadFile), Contains("token 3 is 9"));
  for (const char* merge : {"a", "a ", " b", "a d", "b c", ""}) {
    small = {};
    small.merges[1] = merge;
    INFO(merge);
    CHECK_THAT(error_of(small, ErrorCode::kBadFile), Contains("entry 1"));
  }
}

TEST_CASE("an unknown pre-tokenizer is named with its file and the nearest") {
  CHECK_THROWS_WITH(
      find_split_family("llama-bpx", "m.gguf"),
      StartsWith("m.gguf: unknown pre-tokenizer 'llama-bpx'") && Contains("nearest is llama-bpe"));
}

}  // namespace windlass

// Tokenizers of Hugging Face folders, written as GGUF's metadata and read back: the same tokens.
#include "src/text/gguf_vocabulary.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "src/base/error.h"
#include "src/format/gguf.h"
#include "src/text/split_match.h"
#include "src/text/tokenizer.h"
#include "tests/support/catch.h"
#include "tests/support/tiny_model.h"

namespace windlass {
namespace {

using testing::read_file;
using testing::TempDir;
using testing::write_file;
using Ids = std::vector<std::int32_t>;
using Json = nlohmann::json;
using Notes = std::vector<std::string>;

const std::string kGolden = WINDLASS_SOURCE_DIR "/tests/golden/tokenizer/hf/";

Json golden(const std::string& name) { return Json::parse(read_file(kGolden + name)); }

// The tokenizer as a GGUF without tensors.
struct Written {
  explicit Written(const Json& tokenizer, std::int64_t n_rows = 800,
                   const Json& config = Json::object()) {
    std::filesystem::create_directory(folder.file("hf"));
    write_file(folder.file("hf/tokenizer.json"), tokenizer.dump());
    write_file(folder.file("hf/tokenizer_config.json"), config.dump());
    GgufWriter writer(folder.file("gguf"));
    notes = add_gguf_vocabulary(folder.file("hf"), n_rows, writer);
    writer.begin_data();
    writer.finish();
    table = read_gguf(folder.file("gguf"));
  }
  TempDir folder;
  Notes notes;
  TensorTable table;
};

// How many of the texts come out otherwise than the library has them, of those that `counts`.
template <typename Counts>
int n_other(const std::string& name, const Written& written, const Counts& counts) {
  const auto tokenizer = make_tokenizer(written.table);
  const Json texts = golden("texts.json"), ids = golden(name + ".ids.json");
  int counted = 0, other = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string text = texts[i];
    if (ids[i].is_null() || !counts(text)) continue;
    ++counted;
    const bool parsed = tokenizer->encode(text, {true, true}) == ids[i][0].get<Ids>();
    const bool plain = tokenizer->encode(text, {false, false}) == ids[i][1].get<Ids>();
    other += !parsed || !plain;
  }
  CHECK(counted > 150);
  return other;
}

bool any_text(const std::string&) { return true; }
bool is_ascii(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}
// The added tokens of llama3 and qwen2 take spaces with them or are whole words.
bool has_no_added(const std::string& text) {
  return text.find('<') == std::string::npos && text.find("cat") == std::string::npos;
}

bool notes_hold(const Written& written, const std::string& part) {
  return std::any_of(written.notes.begin(), written.notes.end(),
                     [&](const std::string& note) { return note.find(part) != std::string::npos; });
}

std::string error_of(const Json& tokenizer, std::int64_t n_rows = 800) {
  try {
    const Written written(tokenizer, n_rows);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a byte-level BPE written as GGUF gives the library's tokens") {
  const Written gpt4o(golden("gpt4o.json"));
  CHECK(*gpt4o.table.find_string("tokenizer.ggml.pre") == "gpt-4o");
  CHECK(gpt4o.notes.empty());
  CHECK(n_other("gpt4o", gpt4o, any_text) == 0);
  const Written llama3(golden("llama3.json"));
  CHECK(*llama3.table.find_string("tokenizer.ggml.pre") == "llama-bpe");
  CHECK(notes_hold(llama3, "3 added tokens take the spaces around them"));
  CHECK(n_other("llama3", llama3, has_no_added) == 0);
  // Its split works on bytes where GGUF's works on characters; the vocabulary knows no difference.
  const Written falcon(golden("falcon.json"));
  CHECK(*falcon.table.find_string("tokenizer.ggml.pre") == "falcon");
  CHECK(notes_hold(falcon, "'falcon', is another beyond ASCII"));
  CHECK(n_other("falcon", falcon, any_text) == 0);
}

TEST_CASE("what a GGUF cannot say of a tokenizer is said") {
  const Written qwen2(golden("qwen2.json"));
  CHECK(*qwen2.table.find_string("tokenizer.ggml.pre") == "qwen2");
  CHECK(notes_hold(qwen2, "normalization to NFC is left out"));
  const auto counts = [](const std::string& text) { return is_ascii(text) && has_no_added(text); };
  CHECK(n_other("qwen2", qwen2, counts) == 0);
  CHECK(n_other("qwen2", qwen2, any_text) > 0);
  CHECK(notes_hold(Written(golden("roberta.json")), "a space is put before a text"));
}

// The tokenizer.json that transformers makes of a SentencePiece vocabulary: merges are all cuts of
// each token, by score.
Json as_tokenizer_json(const TensorTable& table) {
  const auto tokens = read_string_array(table, "tokenizer.ggml.tokens");
  const auto scores = read_float_array(table, "tokenizer.ggml.scores");
  const auto types = read_int_array(table, "tokenizer.ggml.token_type");
  Json vocabulary = Json::object(), added = Json::array(), merges = Json::array();
  std::vector<std::size_t> by_score;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    vocabulary[tokens[id]] = id;
    if (types[id] == 1) by_score.push_back(id);
    if (types[id] == 1 || types[id] == 6) continue;
    added.push_back(
        {{"id", id}, {"content", tokens[id]}, {"special", types[id] != 4}, {"normalized", false}});
  }
  std::stable_sort(by_score.begin(), by_score.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  for (const std::size_t id : by_score) {
    for (std::size_t at = 1; at < tokens[id].size(); ++at) {
      const std::string left = tokens[id].substr(0, at), right = tokens[id].substr(at);
      if (vocabulary.contains(left) && vocabulary.contains(right)) merges.push_back({left, right});
    }
  }
  const Json prepend = {{"type", "Prepend"}, {"prepend", "\u2581"}};
  const Json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}};
  Json normalizers = Json::array({prepend, replace});
  if (!table.find_bool("tokenizer.ggml.add_space_prefix").value_or(true)) normalizers.erase(0);
  return {{"added_tokens", added},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", normalizers}}},
          {"decoder", {{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"byte_fallback", true},
            {"vocab", vocabulary},
            {"merges", merges}}}};
}

TEST_CASE("a BPE with byte fallback written as GGUF, by scores, gives the golden tokens") {
  for (const std::string name : {"spm4k", "spm4k-noprefix"}) {
    const std::string path = WINDLASS_SOURCE_DIR "/tests/golden/tokenizer/" + name;
    const TensorTable original = read_gguf(path + ".gguf");
    const Json config = {{"bos_token", "<s>"}, {"add_bos_token", true}};
    const Written written(as_tokenizer_json(original), 4096, config);
    CHECK(written.notes.empty());
    const auto tokenizer = make_tokenizer(written.table);
    std::istringstream rows(read_file(path + ".jsonl"));
    int n_rows = 0;
    for (std::string row; std::getline(rows, row); ++n_rows) {
      const Json json = Json::parse(row);
      INFO(name << ": " << row.substr(0, 200));
      TokenizeOptions options;
      options.parse_special = json["parse_special"];
      options.add_special = json.value("add_special", false);
      CHECK(tokenizer->encode(json["text"].get<std::string>(), options) == json["ids"].get<Ids>());
    }
    CHECK(n_rows > 300);
  }
}

TEST_CASE("merges in an order that scores cannot say are noted") {
  Json tokenizer =
      as_tokenizer_json(read_gguf(WINDLASS_SOURCE_DIR "/tests/golden/tokenizer/spm4k.gguf"));
  Json& merges = tokenizer["model"]["merges"];
  CHECK(Written(tokenizer, 4096).notes.empty());
  const Json last = merges.back();
  merges.erase(merges.size() - 1);
  CHECK(notes_hold(Written(tokenizer, 4096), "1 tokens can be joined in other ways"));
  merges.push_back(last);
  // The second of two merges that make one token, put behind those of all others.
  const auto made = [&](std::size_t i) {
    return merges[i][0].get<std::string>() + merges[i][1].get<std::string>();
  };
  std::size_t second = 1;
  while (made(second) != made(second - 1)) ++second;
  const Json moved = merges[second];
  merges.erase(second);
  merges.push_back(moved);
  CHECK(notes_hold(Written(tokenizer, 4096), "1 tokens can be joined in other ways"));
}

TEST_CASE("a Unigram vocabulary written as GGUF gives the library's tokens") {
  const Written t5(golden("t5.json"));
  CHECK(*t5.table.find_string("tokenizer.ggml.model") == "t5");
  const auto counts = [](const std::string& text) { return !text.starts_with(' '); };
  CHECK(n_other("t5", t5, counts) == 0);
}

TEST_CASE("ids that the tokenizer has not are unused tokens, up to the embedding's rows") {
  const Written written(golden("gpt4o.json"), 705);
  const auto tokens = read_string_array(written.table, "tokenizer.ggml.tokens");
  const auto types = read_int_array(written.table, "tokenizer.ggml.token_type");
  REQUIRE(tokens.size() == 705);
  CHECK(tokens[704] == "[PAD704]");
  CHECK(types[704] == 5);
  CHECK(types[600] == 1);
}

TEST_CASE("special ids are those that the folder's files name") {
  const Written written(golden("gpt4o.json"), 800,
                        {{"bos_token", "<s>"},
                         {"eos_token", {{"content", "</s>"}}},
                         {"unk_token", "<unk>"},
                         {"pad_token", "</s>"},
                         {"add_bos_token", true}});
  const auto id = [&](const char* key) { return written.table.require_int(key, 0, 799); };
  CHECK(id("tokenizer.ggml.bos_token_id") == 1);
  CHECK(id("tokenizer.ggml.eos_token_id") == 2);
  CHECK(id("tokenizer.ggml.unknown_token_id") == 0);
  CHECK(id("tokenizer.ggml.padding_token_id") == 2);
  CHECK(*written.table.find_bool("tokenizer.ggml.add_bos_token"));
  CHECK_FALSE(*written.table.find_bool("tokenizer.ggml.add_eos_token"));
}

TEST_CASE("a folder without a tokenizer becomes a GGUF without a vocabulary, and it is said") {
  const TempDir folder;
  GgufHeaderBuilder header;
  const Notes notes = add_gguf_vocabulary(folder.file("none"), 10, header);
  REQUIRE(notes.size() == 1);
  CHECK_THAT(notes[0], Contains("takes token ids alone"));
}

TEST_CASE("what no GGUF can hold of a tokenizer is refused by name") {
  CHECK_THAT(error_of(golden("gpt4o.json"), 600),
             Contains("has a token with the id 6") && Contains("but the embedding 600 rows"));
  Json no_join = golden("gpt4o.json");
  no_join["model"]["merges"].push_back("x xyz");
  CHECK_THAT(error_of(no_join), Contains("does not join two tokens"));
  Json no_unknown = golden("t5.json");
  no_unknown["model"]["unk_id"] = 600;
  CHECK_THAT(error_of(no_unknown), Contains("unk_id is 600"));
  CHECK_THAT(error_of(golden("bert.json")), Contains("a WordPiece vocabulary"));
  CHECK_THAT(error_of(golden("pieces.json")), Contains("no words for the normalizer 'NFKD'"));
  CHECK_THAT(error_of(golden("whitespace.json")), Contains("cuts text as no pre-tokenizer does"));
}

TEST_CASE("every split that GGUF names compiles") {
  for (const NamedSplitFamily& family : split_families()) {
    PreTokenizer splits;
    INFO(family.name);
    CHECK_NOTHROW(add_family_splits(family, splits));
  }
}

}  // namespace windlass

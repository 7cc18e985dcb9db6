// One builder for each kind of vocabulary that GGUF knows.
#include "src/text/gguf_tokenizer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "src/base/error.h"
#include "src/base/nearest.h"
#include "src/format/gguf.h"
#include "src/format/printable.h"
#include "src/text/bert_text.h"
#include "src/text/bpe_model.h"
#include "src/text/byte_alphabet.h"
#include "src/text/split_families.h"
#include "src/text/split_match.h"
#include "src/text/spm_merges.h"
#include "src/text/token_forms.h"
#include "src/text/unigram_model.h"
#include "src/text/wordpiece_model.h"

namespace windlass {
namespace {

constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kMerges = "tokenizer.ggml.merges";
constexpr const char* kScores = "tokenizer.ggml.scores";
constexpr const char* kCharsmap = "tokenizer.ggml.precompiled_charsmap";

class Reader {
 public:
  explicit Reader(const TensorTable& table)
      : table_(table), path_(table.files.empty() ? "the model file" : table.files[0].path) {}

  TokenizerParts read();

 private:
  void read_byte_bpe();
  void read_sentencepiece();
  void read_unigram();
  void read_wordpiece();

  const ArrayInfo& require_strings(const char* key) const;
  TokenType token_type(const std::vector<std::int32_t>& types, std::size_t id) const;
  void read_vocabulary(TokenForm form);
  MergeTable read_merges(const TokenIndex& index) const;
  std::vector<float> read_scores() const;
  void read_special_tokens();
  void read_special_ids(bool adds_bos, bool adds_eos);
  std::optional<std::int32_t> find_id(const char* key) const;
  bool find_flag(const char* key, bool otherwise) const {
    return table_.find_bool(key).value_or(otherwise);
  }

  const TensorTable& table_;
  std::string path_;
  TokenizerParts parts_;
};

TokenizerParts Reader::read() {
  struct Kind {
    const char* name;
    void (Reader::*read)();
  };
  constexpr Kind kKinds[] = {{"gpt2", &Reader::read_byte_bpe},
                             {"llama", &Reader::read_sentencepiece},
                             {"t5", &Reader::read_unigram},
                             {"bert", &Reader::read_wordpiece}};
  const std::string* model = table_.find_string("tokenizer.ggml.model");
  if (model == nullptr) {
    fail(ErrorCode::kBadFile, "{}: no vocabulary (tokenizer.ggml.model is missing)", path_);
  }
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) {
    if (*model == kind.name) {
      (this->*kind.read)();
      return std::move(parts_);
    }
    names.emplace_back(kind.name);
  }
  const std::string name = printable(model->substr(0, 64));
  fail(ErrorCode::kUnsupported,
       "{}: unknown tokenizer '{}' (tokenizer.ggml.model); the nearest is {}; supported: gpt2 "
       "(byte-level BPE), llama (SentencePiece BPE), t5 (Unigram), bert (WordPiece)",
       path_, name, nearest_name(name, names));
}

const ArrayInfo& Reader::require_strings(const char* key) const {
  constexpr std::int32_t kGgufString = 8;
  const auto found = table_.arrays.find(key);
  if (found == table_.arrays.end() || found->second.element_type != kGgufString) {
    fail(ErrorCode::kBadFile, "{}: the vocabulary is incomplete: {} is no list of strings", path_,
         key);
  }
  if (found->second.n_elements >= MergeTable::kNone) {
    fail(ErrorCode::kBadFile, "{}: {} has {} entries; the most is {}", path_, key,
         found->second.n_elements, MergeTable::kNone - 1);
  }
  return found->second;
}

TokenType Reader::token_type(const std::vector<std::int32_t>& types, std::size_t id) const {
  if (types.empty()) return TokenType::kNormal;
  if (types[id] < 1 || types[id] > 6) {
    fail(ErrorCode::kBadFile, "{}: {} of token {} is {}; known are 1 to 6", path_, kTypes, id,
         types[id]);
  }
  return static_cast<TokenType>(types[id]);
}

void Reader::read_vocabulary(TokenForm form) {
  const ArrayInfo& tokens = require_strings(kTokens);
  std::vector<std::int32_t> types;
  if (table_.arrays.contains(kTypes)) types = read_int_array(table_, kTypes);
  if (!types.empty() && types.size() != static_cast<std::size_t>(tokens.n_elements)) {
    fail(ErrorCode::kBadFile, "{}: {} tokens but {} entries in {}", path_, tokens.n_elements,
         types.size(), kTypes);
  }
  parts_.vocabulary = std::make_unique<Vocabulary>();
  Vocabulary& vocabulary = *parts_.vocabulary;
  // Each string has 8 B of length in the file, and a form is never shorter than its bytes.
  vocabulary.reserve(tokens.n_elements, tokens.extent.size_bytes - 8 * tokens.n_elements);
  for_each_string(table_, kTokens, [&](std::string_view text) {
    const auto id = static_cast<std::size_t>(vocabulary.n_tokens());
    append_token(text, token_type(types, id), form, vocabulary);
  });
  vocabulary.shrink();
  parts_.n_vocab = vocabulary.n_tokens();
}

// A rule's two sides, as the file writes them: parted by the first space that is not the first
// character.
std::pair<std::string_view, std::string_view> sides_of(std::string_view rule) {
  const std::size_t space = rule.find(' ', 1);
  if (space == std::string_view::npos) return {rule, {}};
  return {rule.substr(0, space), rule.substr(space + 1)};
}

MergeTable Reader::read_merges(const TokenIndex& index) const {
  MergeTable merges(require_strings(kMerges).n_elements);
  std::vector<char> bytes;
  std::int32_t rank = 0;
  for_each_string(table_, kMerges, [&](std::string_view rule) {
    const auto [left_text, right_text] = sides_of(rule);
    bytes.clear();
    const bool left_is_good = append_alphabet_bytes(left_text, bytes);
    const std::size_t n_left = bytes.size();
    const bool is_good = left_is_good && append_alphabet_bytes(right_text, bytes) && n_left > 0 &&
                         bytes.size() > n_left;
    const std::string_view merged(bytes.data(), bytes.size());
    const auto left = index.find(merged.substr(0, n_left));
    const auto right = index.find(merged.substr(n_left));
    const auto result = index.find(merged);
    if (!is_good || !left || !right || !result) {
      fail(ErrorCode::kBadFile,
           "{}: {} entry {} does not join two tokens of the vocabulary to a third", path_, kMerges,
           rank);
    }
    merges.add(*left, *right, {rank, *result});
    ++rank;
  });
  return merges;
}

void Reader::read_byte_bpe() {
  const std::string* pre = table_.find_string("tokenizer.ggml.pre");
  // Files from before the key was introduced have none; their tokens would come out wrong unseen.
  if (pre == nullptr) {
    fail(ErrorCode::kUnsupported,
         "{}: the file does not name its pre-tokenizer (tokenizer.ggml.pre); convert the model "
         "again, or set the key ('default', 'gpt-2', 'llama-bpe', ...)",
         path_);
  }
  const SplitFamily& family = find_split_family(*pre, path_);
  read_vocabulary(TokenForm::kAlphabet);
  add_family_splits({*pre, family}, parts_.pre_tokenizer);
  auto index = std::make_unique<TokenIndex>(*parts_.vocabulary);
  MergeTable merges = read_merges(*index);
  BpeOptions options{.whole_words = family.whole_words, .byte_ids = single_byte_ids(*index)};
  if (!family.whole_words) index.reset();
  parts_.model =
      std::make_unique<BpeModel>(*parts_.vocabulary, std::move(merges), std::move(index), options);
  read_special_tokens();
  read_special_ids(family.adds_bos, false);
  const auto sep = find_id("tokenizer.ggml.seperator_token_id");
  if (sep && find_flag("tokenizer.ggml.add_sep_token", family.adds_sep)) {
    parts_.suffix_ids.push_back(*sep);
  }
}

std::vector<float> Reader::read_scores() const {
  std::vector<float> scores = read_float_array(table_, kScores);
  if (scores.size() != static_cast<std::size_t>(parts_.n_vocab)) {
    fail(ErrorCode::kBadFile, "{}: {} tokens but {} entries in {}", path_, parts_.n_vocab,
         scores.size(), kScores);
  }
  return scores;
}

void Reader::read_sentencepiece() {
  read_vocabulary(TokenForm::kSentencePiece);
  const std::vector<float> scores = read_scores();
  MergeTable merges = spm_merges(*parts_.vocabulary, scores, path_);
  parts_.vocabulary->shrink();
  const BpeOptions options{.over_bytes = false,
                           .byte_ids = byte_token_ids(*parts_.vocabulary),
                           .unknown = find_id("tokenizer.ggml.unknown_token_id"),
                           .n_tokens = parts_.n_vocab};
  auto index = std::make_unique<TokenIndex>(*parts_.vocabulary, true);
  parts_.model =
      std::make_unique<BpeModel>(*parts_.vocabulary, std::move(merges), std::move(index), options);
  parts_.normalizer.add(ReplaceText{std::string(kSpaceMark), " "});
  if (find_flag("tokenizer.ggml.add_space_prefix", true)) parts_.normalizer.add(Prepend{" "});
  add_safe_cut(*parts_.vocabulary, parts_.n_vocab, " ", parts_.pre_tokenizer);
  read_special_tokens();
  read_special_ids(true, false);
}

void Reader::read_unigram() {
  read_vocabulary(TokenForm::kSentencePiece);
  const std::vector<float> scores = read_scores();
  for (const float& score : scores) {
    if (!std::isfinite(score)) {
      fail(ErrorCode::kBadFile, "{}: the score of token {} is no finite number", path_,
           &score - scores.data());
    }
  }
  const UnigramOptions options{.unknown = find_id("tokenizer.ggml.unknown_token_id").value_or(2),
                               .byte_ids = byte_token_ids(*parts_.vocabulary)};
  if (options.unknown >= parts_.n_vocab) {
    fail(ErrorCode::kBadFile, "{}: tokenizer.ggml.unknown_token_id is missing", path_);
  }
  parts_.model = std::make_unique<UnigramModel>(
      *parts_.vocabulary, text_token_ids(*parts_.vocabulary, parts_.n_vocab),
      std::vector<double>(scores.begin(), scores.end()), options);
  if (table_.arrays.contains(kCharsmap)) {
    std::string blob;
    for (const std::int32_t byte : read_int_array(table_, kCharsmap)) {
      blob += static_cast<char>(byte);
    }
    parts_.normalizer.add(Charsmap(blob, path_ + ": " + kCharsmap));
  }
  if (find_flag("tokenizer.ggml.remove_extra_whitespaces", false)) {
    parts_.normalizer.add(CollapseSpaces{});
  }
  parts_.normalizer.add(ReplaceText{std::string(kSpaceMark), " "});
  if (find_flag("tokenizer.ggml.add_space_prefix", false)) parts_.normalizer.add(Prepend{" "});
  add_safe_cut(*parts_.vocabulary, parts_.n_vocab, " ", parts_.pre_tokenizer);
  read_special_tokens();
  read_special_ids(false, true);
}

void Reader::read_wordpiece() {
  // A GGUF marks tokens that begin a word, with U+2581, and not those that go on.
  read_vocabulary(TokenForm::kWordStart);
  const WordPieceOptions options{.unknown =
                                     find_id("tokenizer.ggml.unknown_token_id").value_or(100)};
  if (options.unknown >= parts_.n_vocab) {
    fail(ErrorCode::kBadFile, "{}: tokenizer.ggml.unknown_token_id is missing", path_);
  }
  std::vector<std::int32_t> next = text_token_ids(*parts_.vocabulary, parts_.n_vocab);
  const auto begins_next = std::stable_partition(next.begin(), next.end(), [&](std::int32_t id) {
    return parts_.vocabulary->token(id).starts_with(' ');
  });
  std::vector<std::int32_t> first(next.begin(), begins_next);
  next.erase(next.begin(), begins_next);
  parts_.model = std::make_unique<WordPieceModel>(*parts_.vocabulary, std::move(first),
                                                  std::move(next), options);
  add_bert_normalizer(BertNormalizer{}, parts_.normalizer);
  add_bert_splits(parts_.pre_tokenizer);
  read_special_tokens();
  read_special_ids(true, false);
  const auto sep = find_id("tokenizer.ggml.seperator_token_id");
  if (sep && find_flag("tokenizer.ggml.add_sep_token", true)) parts_.suffix_ids.push_back(*sep);
}

void Reader::read_special_tokens() {
  std::vector<SpecialToken> tokens;
  for (std::int32_t id = 0; id < parts_.n_vocab; ++id) {
    const TokenType type = parts_.vocabulary->type(id);
    if (type == TokenType::kControl || type == TokenType::kUnknown ||
        type == TokenType::kUserDefined) {
      tokens.push_back({.id = id,
                        .text = std::string(parts_.vocabulary->token(id)),
                        .is_control = type != TokenType::kUserDefined});
    }
  }
  parts_.special = std::make_unique<SpecialTokens>(tokens);
}

std::optional<std::int32_t> Reader::find_id(const char* key) const {
  const auto id = table_.find_int(key, 0, std::int64_t{parts_.n_vocab} - 1);
  return id ? std::optional(static_cast<std::int32_t>(*id)) : std::nullopt;
}

void Reader::read_special_ids(bool adds_bos, bool adds_eos) {
  parts_.bos_id = find_id("tokenizer.ggml.bos_token_id");
  if (!parts_.bos_id) parts_.bos_id = find_id("tokenizer.ggml.cls_token_id");
  parts_.eos_id = find_id("tokenizer.ggml.eos_token_id");
  if (parts_.bos_id && find_flag("tokenizer.ggml.add_bos_token", adds_bos)) {
    parts_.prefix_ids.push_back(*parts_.bos_id);
  }
  if (parts_.eos_id && find_flag("tokenizer.ggml.add_eos_token", adds_eos)) {
    parts_.suffix_ids.push_back(*parts_.eos_id);
  }
  if (parts_.eos_id) parts_.end_ids.push_back(*parts_.eos_id);
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (const auto id = find_id(key)) parts_.end_ids.push_back(*id);
  }
  add_end_ids(*parts_.special, parts_.end_ids);
}

}  // namespace

TokenizerParts read_gguf_tokenizer(const TensorTable& table) { return Reader(table).read(); }

}  // namespace windlass

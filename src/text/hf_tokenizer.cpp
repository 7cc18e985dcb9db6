// From the document to the parts.
#include "src/text/hf_tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <utility>

#include "src/base/error.h"
#include "src/format/printable.h"
#include "src/text/bpe_model.h"
#include "src/text/byte_alphabet.h"
#include "src/text/hf_document.h"
#include "src/text/hf_special_ids.h"
#include "src/text/hf_steps.h"
#include "src/text/token_forms.h"
#include "src/text/unigram_model.h"
#include "src/text/wordpiece_model.h"

namespace windlass {
namespace {

namespace fs = std::filesystem;

struct AddedToken {
  SpecialToken token;
  bool is_normalized = false;
};

std::vector<AddedToken> read_added_tokens(const HfNode& root) {
  std::vector<AddedToken> tokens;
  for (const HfNode& node : root.children("added_tokens")) {
    const std::int64_t id = node.number("id", -1);
    if (id < 0 || id >= INT32_MAX) node.fail_value("id", "a token id");
    tokens.push_back({{.id = static_cast<std::int32_t>(id),
                       .text = node.text("content", ""),
                       .is_control = node.flag("special", false),
                       .takes_left = node.flag("lstrip", false),
                       .takes_right = node.flag("rstrip", false),
                       .whole_word = node.flag("single_word", false)},
                      node.flag("normalized", !node.flag("special", false))});
  }
  std::sort(tokens.begin(), tokens.end(),
            [](const auto& a, const auto& b) { return a.token.id < b.token.id; });
  return tokens;
}

class Reader {
 public:
  explicit Reader(const HfSource& source)
      : source_(source),
        document_(read_hf_document(source)),
        root_(document_.settings, source_.path, ""),
        model_(root_.child("model")),
        added_(read_added_tokens(root_)) {}

  TokenizerParts read(bool with_model);

 private:
  std::string model_type() const;
  std::int32_t check_ids() const;
  TokenType type_of(std::int32_t id, std::string_view text, bool in_model) const;
  const AddedToken* added(std::int32_t id) const;
  void build_vocabulary();
  void note_form(std::int32_t id, std::string_view text);
  std::vector<std::int32_t> model_ids() const;
  void refuse_bytes_of_alphabet(bool all_bytes) const;
  void build_model(const std::string& type);
  void build_bpe();
  MergeTable read_merges(const TokenIndex& index);
  void build_unigram();
  void build_wordpiece();
  void build_special_tokens();
  void read_template();
  std::optional<std::int32_t> unknown_id() const;

  const HfSource& source_;
  HfDocument document_;
  HfNode root_, model_;
  std::vector<AddedToken> added_;                     // by id
  std::vector<std::int32_t> next_ids_, foreign_ids_;  // note_form's
  TokenForm form_ = TokenForm::kPlain;
  HfSplits splits_;
  TokenizerParts parts_;
};

TokenizerParts Reader::read(bool with_model) {
  add_hf_normalizer(root_.child("normalizer"), parts_.normalizer);
  splits_ = add_hf_splits(root_.child("pre_tokenizer"), parts_.pre_tokenizer);
  const std::string type = model_type();
  if (splits_.byte_level) {
    form_ = type == "WordPiece" ? TokenForm::kHashAlphabet : TokenForm::kAlphabet;
  } else if (type == "WordPiece") {
    form_ = TokenForm::kHash;
  } else if (splits_.metaspace || hf_decodes_spaces(root_.child("decoder"))) {
    form_ = TokenForm::kSentencePiece;
  }
  build_vocabulary();
  if (with_model) build_model(type);
  if (form_ == TokenForm::kSentencePiece) {
    parts_.space_mark = kSpaceMark;
    add_safe_cut(*parts_.vocabulary, parts_.n_vocab, parts_.space_mark, parts_.pre_tokenizer);
  }
  build_special_tokens();
  read_template();
  return std::move(parts_);
}

void Reader::build_model(const std::string& type) {
  if (type == "BPE") return build_bpe();
  if (type == "Unigram") return build_unigram();
  build_wordpiece();
}

std::string Reader::model_type() const {
  const std::string type = model_.type();
  // Files of early versions have no type; then only BPE has merges.
  if (type.empty() && document_.n_merges > 0) return "BPE";
  if (type != "BPE" && type != "Unigram" && type != "WordPiece") {
    model_.fail_type({"BPE", "Unigram", "WordPiece"});
  }
  return type;
}

// The number of ids. They need not be dense, but must not make us hold much more than the file has.
std::int32_t Reader::check_ids() const {
  std::int64_t n = 0;
  for (const std::int32_t id : document_.token_ids) n = std::max<std::int64_t>(n, id + 1LL);
  for (const AddedToken& added : added_) n = std::max<std::int64_t>(n, added.token.id + 1LL);
  const std::size_t n_given = document_.token_ids.size() + added_.size();
  if (n > 2 * static_cast<std::int64_t>(n_given) + 65536) {
    fail(ErrorCode::kBadFile, "{}: {} tokens, but ids up to {}", source_.path, n_given, n - 1);
  }
  if (n == 0) fail(ErrorCode::kBadFile, "{}: no tokens (model.vocab)", source_.path);
  return static_cast<std::int32_t>(n);
}

const AddedToken* Reader::added(std::int32_t id) const {
  const auto found = std::lower_bound(
      added_.begin(), added_.end(), id,
      [](const AddedToken& a, std::int32_t wanted) { return a.token.id < wanted; });
  return found != added_.end() && found->token.id == id ? &*found : nullptr;
}

// The model falls back to the byte tokens of its vocabulary, those among added_tokens too.
TokenType Reader::type_of(std::int32_t id, std::string_view text, bool in_model) const {
  const bool may_be_byte = form_ == TokenForm::kSentencePiece || form_ == TokenForm::kPlain;
  if (in_model && may_be_byte && model_.flag("byte_fallback", false) && byte_token_value(text)) {
    return TokenType::kByte;
  }
  const AddedToken* token = added(id);
  if (token == nullptr) return TokenType::kNormal;
  return token->token.is_control ? TokenType::kControl : TokenType::kUserDefined;
}

void Reader::build_vocabulary() {
  const std::int32_t n = check_ids();
  std::vector<std::int32_t> place(static_cast<std::size_t>(n), -1);  // of each id in the file
  for (std::size_t i = 0; i < document_.token_ids.size(); ++i) {
    place[static_cast<std::size_t>(document_.token_ids[i])] = static_cast<std::int32_t>(i);
  }
  parts_.vocabulary = std::make_unique<Vocabulary>();
  Vocabulary& vocabulary = *parts_.vocabulary;
  vocabulary.reserve(n, static_cast<std::int64_t>(document_.token_bytes.size()));
  for (std::int32_t id = 0; id < n; ++id) {
    const std::int32_t at = place[static_cast<std::size_t>(id)];
    const AddedToken* token = added(id);
    if (token != nullptr) {
      append_token(token->token.text, type_of(id, token->token.text, at >= 0), form_, vocabulary);
    } else if (at >= 0) {
      const std::string_view text = document_.token(static_cast<std::size_t>(at));
      append_token(text, type_of(id, text, true), form_, vocabulary);
      note_form(id, text);
    } else {
      vocabulary.end_token(TokenType::kUnused);
    }
  }
  vocabulary.shrink();
  parts_.n_vocab = n;
  std::vector<char>().swap(document_.token_bytes);
  std::vector<std::uint32_t>().swap(document_.token_ends);
}

// What the vocabulary does not show: which tokens go on a word, and which the text's bytes, as the
// model of the file sees them, never spell.
void Reader::note_form(std::int32_t id, std::string_view text) {
  const bool goes_on = goes_on_word(text);
  const bool has_hash = form_ == TokenForm::kHash || form_ == TokenForm::kHashAlphabet;
  if (has_hash && goes_on) next_ids_.push_back(id);
  if (!splits_.byte_level) return;
  std::vector<char> bytes;
  const bool shifts = has_hash && goes_on;
  if (!append_alphabet_bytes(text.substr(shifts ? kGoesOn.size() : 0), bytes)) {
    foreign_ids_.push_back(id);
  }
}

// The tokens that the model may give; the lists are ascending.
std::vector<std::int32_t> Reader::model_ids() const {
  const std::vector<std::int32_t> all = text_token_ids(*parts_.vocabulary, parts_.n_vocab);
  std::vector<std::int32_t> ids;
  std::set_difference(all.begin(), all.end(), foreign_ids_.begin(), foreign_ids_.end(),
                      std::back_inserter(ids));
  return ids;
}

// Over bytes nothing is left to fall back to, unless a byte has no token of its own.
void Reader::refuse_bytes_of_alphabet(bool all_bytes) const {
  if (!splits_.byte_level || all_bytes || !model_.flag("byte_fallback", false)) return;
  fail(ErrorCode::kUnsupported,
       "{}: model.byte_fallback with the pre_tokenizer ByteLevel is not supported; one of the two "
       "is",
       source_.path);
}

std::optional<std::int32_t> Reader::unknown_id() const {
  const std::string text = model_.text("unk_token", "");
  return text.empty() ? std::nullopt : token_id_of(parts_, text);
}

MergeTable Reader::read_merges(const TokenIndex& index) {
  MergeTable merges(document_.n_merges);
  std::vector<char> bytes;
  std::int32_t rank = 0;
  Vocabulary sides;
  for_each_hf_merge(source_, [&](std::string_view left, std::string_view right) {
    sides = {};
    append_token(left, TokenType::kNormal, form_, sides);
    append_token(right, TokenType::kNormal, form_, sides);
    const auto left_id = index.find(sides.token(0));
    const auto right_id = index.find(sides.token(1));
    const auto result = index.find({sides.bytes().data(), sides.bytes().size()});
    if (!left_id || !right_id || !result || sides.token(0).empty() || sides.token(1).empty()) {
      fail(ErrorCode::kBadFile,
           "{}: model.merges entry {} does not join two tokens of the vocabulary to a third",
           source_.path, rank);
    }
    merges.add(*left_id, *right_id, {rank, *result});
    ++rank;
  });
  return merges;
}

void Reader::build_bpe() {
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model_.text(affix, "").empty()) {
      fail(ErrorCode::kUnsupported, "{}: model.{} '{}' is not supported; only BPE without one is",
           source_.path, affix, printable(model_.text(affix, "").substr(0, 64)));
    }
  }
  auto index = std::make_unique<TokenIndex>(*parts_.vocabulary);
  MergeTable merges = read_merges(*index);
  BpeOptions options{.over_bytes = splits_.byte_level,
                     .whole_words = model_.flag("ignore_merges", false),
                     .unknown = unknown_id(),
                     .fuse_unknown = model_.flag("fuse_unk", false)};
  options.byte_ids =
      options.over_bytes ? single_byte_ids(*index) : byte_token_ids(*parts_.vocabulary);
  refuse_bytes_of_alphabet(std::all_of(options.byte_ids.begin(), options.byte_ids.end(),
                                       [](std::int32_t id) { return id >= 0; }));
  if (options.over_bytes && !options.whole_words) index.reset();
  parts_.model =
      std::make_unique<BpeModel>(*parts_.vocabulary, std::move(merges), std::move(index), options);
}

void Reader::build_unigram() {
  const std::int64_t unknown = model_.number("unk_id", -1);
  if (unknown < 0 || unknown >= parts_.n_vocab) {
    fail(ErrorCode::kUnsupported,
         "{}: model.unk_id is {}; a Unigram model without an unknown token "
         "is not supported",
         source_.path, unknown);
  }
  if (document_.scores.size() != document_.token_ids.size()) {
    fail(ErrorCode::kBadFile, "{}: model.vocab is no list of tokens with scores", source_.path);
  }
  refuse_bytes_of_alphabet(false);
  std::vector<double> scores = std::move(document_.scores);
  scores.resize(static_cast<std::size_t>(parts_.n_vocab), 0.0);  // added tokens are no results
  std::vector<std::int32_t> ids = model_ids();
  std::erase(ids, static_cast<std::int32_t>(unknown));
  parts_.model = std::make_unique<UnigramModel>(
      *parts_.vocabulary, std::move(ids), std::move(scores),
      UnigramOptions{.over_bytes = splits_.byte_level,
                     .unknown = static_cast<std::int32_t>(unknown),
                     .byte_ids = byte_token_ids(*parts_.vocabulary)});
}

void Reader::build_wordpiece() {
  if (model_.text("continuing_subword_prefix", kGoesOn.data()) != kGoesOn) {
    model_.fail_value("continuing_subword_prefix", "##, the only one supported");
  }
  const auto unknown = unknown_id();
  if (!unknown) model_.fail_value("unk_token", "a token of the vocabulary");
  std::vector<std::int32_t> first, next;
  for (const std::int32_t id : model_ids()) {
    const bool goes_on = std::binary_search(next_ids_.begin(), next_ids_.end(), id);
    (goes_on ? next : first).push_back(id);
  }
  parts_.model = std::make_unique<WordPieceModel>(
      *parts_.vocabulary, std::move(first), std::move(next),
      WordPieceOptions{.unknown = *unknown,
                       .over_bytes = splits_.byte_level,
                       .goes_on = kGoesOn,
                       .max_characters = model_.number("max_input_chars_per_word", 100)});
}

void Reader::build_special_tokens() {
  std::vector<SpecialToken> raw, normalized;
  for (const AddedToken& added : added_) {
    if (!added.is_normalized) {
      raw.push_back(added.token);
      continue;
    }
    normalized.push_back(added.token);
    parts_.normalizer.apply(normalized.back().text);
  }
  parts_.special = std::make_unique<SpecialTokens>(raw);
  if (!normalized.empty()) parts_.normalized = std::make_unique<SpecialTokens>(normalized);
}

void Reader::read_template() {
  HfTemplate around = read_hf_template(root_.child("post_processor"));
  for (const auto* ids : {&around.prefix_ids, &around.suffix_ids}) {
    for (const std::int32_t id : *ids) {
      if (id < parts_.n_vocab) continue;
      fail(ErrorCode::kBadFile, "{}: post_processor adds the token {}, but there are {}",
           source_.path, id, parts_.n_vocab);
    }
  }
  parts_.prefix_ids = std::move(around.prefix_ids);
  parts_.suffix_ids = std::move(around.suffix_ids);
  parts_.has_template = around.is_given;
}

}  // namespace

TokenizerParts read_hf_tokenizer(const HfSource& source) { return Reader(source).read(true); }

TokenizerParts read_hf_tokenizer_frame(const HfSource& source) {
  return Reader(source).read(false);
}

TokenizerParts read_hf_tokenizer(const std::string& path) {
  const std::string file =
      fs::is_directory(path) ? (fs::path(path) / "tokenizer.json").string() : path;
  TokenizerParts parts = read_hf_tokenizer(hf_file(file));
  read_hf_special_ids(fs::path(file).parent_path().string(), parts);
  return parts;
}

}  // namespace windlass

// One function for each kind of vocabulary, and what all share.
#include "src/text/gguf_vocabulary.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "src/base/error.h"
#include "src/format/printable.h"
#include "src/text/hf_document.h"
#include "src/text/hf_special_ids.h"
#include "src/text/hf_steps.h"
#include "src/text/hf_tokenizer.h"
#include "src/text/merge_scores.h"
#include "src/text/split_match.h"
#include "src/text/token_forms.h"

namespace windlass {
namespace {

const std::string kPrefix = "tokenizer.ggml.";

class Writer {
 public:
  Writer(const std::string& folder, std::int64_t n_rows, GgufHeaderBuilder& header)
      : folder_(folder),
        source_(hf_file(folder + "/tokenizer.json")),
        n_rows_(n_rows),
        header_(header),
        document_(read_hf_document(source_)),
        root_(document_.settings, source_.path, ""),
        model_(root_.child("model")),
        parts_(read_hf_tokenizer_frame(source_)) {}

  std::vector<std::string> write();

 private:
  void index_tokens();
  std::string_view text_of(std::int32_t id) const;
  TokenType type_of(std::int32_t id) const;

  void write_byte_bpe();
  void write_sentencepiece();
  void write_unigram();
  void check_normalizers(std::initializer_list<std::string_view> known);
  void write_tokens(const char* model, const std::string& pre);
  void write_scores(const std::vector<float>& scores);
  void write_special_ids();
  void write_end_ids();
  void write_frame();
  bool puts_space_first();
  void add_id(const char* name, std::optional<std::int32_t> id);
  void note(std::string text) { notes_.push_back(std::move(text)); }

  const std::string& folder_;
  const HfSource source_;
  const std::int64_t n_rows_;
  GgufHeaderBuilder& header_;
  HfDocument document_;
  HfNode root_, model_;
  TokenizerParts parts_;                       // without a model
  std::vector<std::int32_t> place_;            // of each id in the document; -1: not there
  std::map<std::int32_t, std::string> added_;  // texts of added tokens
  std::optional<std::int32_t> unknown_;        // the model's own
  bool has_unknown_type_ = false;
  std::vector<std::string> notes_;
};

std::vector<std::string> Writer::write() {
  read_hf_special_ids(folder_, parts_);
  // Where no file names them, what stands around a text are they.
  if (!parts_.bos_id && parts_.prefix_ids.size() == 1) parts_.bos_id = parts_.prefix_ids[0];
  if (!parts_.eos_id && parts_.suffix_ids.size() == 1) parts_.eos_id = parts_.suffix_ids[0];
  index_tokens();
  const std::string type = model_.type();
  if (type == "Unigram") {
    write_unigram();
  } else if (type == "WordPiece") {
    fail(ErrorCode::kUnsupported,
         "{}: a WordPiece vocabulary; supported in a GGUF of a language "
         "model: BPE, Unigram",
         source_.path);
  } else if (parts_.space_mark.empty()) {
    write_byte_bpe();
  } else {
    write_sentencepiece();
  }
  write_special_ids();
  write_end_ids();
  write_frame();
  return std::move(notes_);
}

void Writer::index_tokens() {
  place_.assign(static_cast<std::size_t>(n_rows_), -1);
  const auto require_row = [&](std::int64_t id) {
    if (id < n_rows_) return;
    fail(ErrorCode::kBadFile, "{}: has a token with the id {}, but the embedding {} rows",
         source_.path, id, n_rows_);
  };
  for (std::size_t i = 0; i < document_.token_ids.size(); ++i) {
    require_row(document_.token_ids[i]);
    place_[static_cast<std::size_t>(document_.token_ids[i])] = static_cast<std::int32_t>(i);
  }
  std::int64_t n_greedy = 0;
  for (const HfNode& node : root_.children("added_tokens")) {
    const std::int64_t id = node.number("id", -1);
    require_row(id);
    added_[static_cast<std::int32_t>(id)] = node.text("content", "");
    n_greedy +=
        node.flag("lstrip", false) || node.flag("rstrip", false) || node.flag("single_word", false);
  }
  if (n_greedy > 0) {
    note(
        fmt::format("{} added tokens take the spaces around them, or stand for whole words only: "
                    "GGUF cannot say so",
                    n_greedy));
  }
}

std::string_view Writer::text_of(std::int32_t id) const {
  if (const auto added = added_.find(id); added != added_.end()) return added->second;
  const std::int32_t at = place_[static_cast<std::size_t>(id)];
  return at < 0 ? std::string_view() : document_.token(static_cast<std::size_t>(at));
}

TokenType Writer::type_of(std::int32_t id) const {
  if (has_unknown_type_ && id == unknown_) return TokenType::kUnknown;
  return id < parts_.n_vocab ? parts_.vocabulary->type(id) : TokenType::kUnused;
}

// A normalizer that is not known here would be lost, and tokens would come out wrong unseen.
void Writer::check_normalizers(std::initializer_list<std::string_view> known) {
  for (const HfNode& step : hf_leaves(root_.child("normalizer"), "normalizers")) {
    const std::string type = step.type();
    if (type == "NFC" || type == "NFKC") {
      note(fmt::format("the text's normalization to {} is left out: GGUF cannot say so", type));
    } else if (std::find(known.begin(), known.end(), type) == known.end()) {
      fail(ErrorCode::kUnsupported, "{}: GGUF has no words for the normalizer '{}' of a {}",
           source_.path, printable(type), model_.type());
    }
  }
}

void Writer::write_tokens(const char* model, const std::string& pre) {
  header_.add_metadata(kPrefix + "model", std::string(model));
  header_.add_metadata(kPrefix + "pre", pre);
  const auto n = static_cast<std::int32_t>(n_rows_);
  header_.add_strings(kPrefix + "tokens", n, [&](const GgufHeaderBuilder::PutString& put) {
    for (std::int32_t id = 0; id < n; ++id) {
      const std::string_view text = text_of(id);
      const bool is_there = !text.empty() || type_of(id) != TokenType::kUnused;
      if (is_there) {
        put(text);
      } else {
        put(fmt::format("[PAD{}]", id));
      }
    }
  });
  std::vector<std::int32_t> types;
  types.reserve(static_cast<std::size_t>(n));
  for (std::int32_t id = 0; id < n; ++id) types.push_back(static_cast<std::int32_t>(type_of(id)));
  header_.add_int_array(kPrefix + "token_type", types);
}

void Writer::write_scores(const std::vector<float>& scores) {
  header_.add_float_array(kPrefix + "scores", scores);
}

void Writer::write_byte_bpe() {
  check_normalizers({});
  const bool whole_words = model_.flag("ignore_merges", false);
  const auto family = match_splits(parts_.pre_tokenizer, whole_words);
  if (!family) {
    fail(ErrorCode::kUnsupported,
         "{}: cuts text as no pre-tokenizer does that GGUF has a name for (tokenizer.ggml.pre)",
         source_.path);
  }
  if (!family->beyond_ascii) {
    note(fmt::format("the nearest split that GGUF has a name for, '{}', is another beyond ASCII",
                     family->name));
  }
  if (!family->whole_words) {
    note(fmt::format("words that are tokens are {}, other than GGUF's '{}' has it",
                     whole_words ? "taken as they are" : "made by merges", family->name));
  }
  for (const HfNode& step : hf_leaves(root_.child("pre_tokenizer"), "pretokenizers")) {
    if (step.type() != "ByteLevel" || !step.flag("add_prefix_space", true)) continue;
    note("a space is put before a text that begins with none: GGUF cannot say so");
  }
  write_tokens("gpt2", std::string(family->name));
  header_.add_strings(kPrefix + "merges", document_.n_merges,
                      [&](const GgufHeaderBuilder::PutString& put) {
                        std::string rule;
                        for_each_hf_merge(source_, [&](std::string_view a, std::string_view b) {
                          rule.assign(a).append(" ").append(b);
                          put(rule);
                        });
                      });
}

void Writer::write_sentencepiece() {
  check_normalizers({"Prepend", "Replace", "Strip"});
  unknown_ = token_id_of(parts_, model_.text("unk_token", ""));
  has_unknown_type_ = true;
  write_tokens("llama", "default");
  MergeScores merges = score_merges(source_, document_, *parts_.vocabulary, n_rows_);
  if (merges.n_other_cuts > 0) {
    note(
        fmt::format("{} tokens can be joined in other ways or another order by scores than by the "
                    "merges: GGUF cannot say so",
                    merges.n_other_cuts));
  }
  write_scores(merges.scores);
  header_.add_metadata(kPrefix + "add_space_prefix", puts_space_first());
}

void Writer::write_unigram() {
  check_normalizers({"Precompiled", "Replace", "Strip", "Prepend"});
  if (parts_.space_mark.empty()) {
    fail(ErrorCode::kUnsupported,
         "{}: a Unigram vocabulary without U+2581 for spaces; supported in a GGUF: one with it",
         source_.path);
  }
  unknown_ = static_cast<std::int32_t>(model_.number("unk_id", -1));
  has_unknown_type_ = true;
  write_tokens("t5", "default");
  std::vector<float> scores(static_cast<std::size_t>(n_rows_), 0.0F);
  for (std::size_t i = 0; i < document_.scores.size(); ++i) {
    scores[static_cast<std::size_t>(document_.token_ids[i])] =
        static_cast<float>(document_.scores[i]);
  }
  write_scores(scores);
  bool collapses = false;
  for (const HfNode& step : hf_leaves(root_.child("normalizer"), "normalizers")) {
    if (step.type() == "Precompiled") {
      header_.add_byte_array(kPrefix + "precompiled_charsmap", hf_charsmap(step));
    }
    collapses |= step.type() == "Replace" && step.child("pattern").text("Regex", "") == " {2,}";
  }
  header_.add_metadata(kPrefix + "remove_extra_whitespaces", collapses);
  header_.add_metadata(kPrefix + "add_space_prefix", puts_space_first());
}

// GGUF means: before a text and before what follows a special token, even where a space is there.
bool Writer::puts_space_first() {
  bool prepends = false;
  for (const HfNode& step : hf_leaves(root_.child("normalizer"), "normalizers")) {
    prepends |= step.type() == "Prepend" && step.text("prepend", "") == kSpaceMark;
  }
  for (const HfNode& step : hf_leaves(root_.child("pre_tokenizer"), "pretokenizers")) {
    if (step.type() != "Metaspace") continue;
    const std::string scheme =
        step.text("prepend_scheme", step.flag("add_prefix_space", true) ? "always" : "never");
    if (scheme == "never") continue;
    prepends = true;
    note(fmt::format("a space is put before {} that begins with none; GGUF puts one always",
                     scheme == "first" ? "a text (not behind special tokens)" : "a text"));
  }
  return prepends;
}

void Writer::add_id(const char* name, std::optional<std::int32_t> id) {
  if (!id) return;
  header_.add_metadata_u32(kPrefix + name + "_token_id", static_cast<std::uint32_t>(*id));
}

void Writer::write_special_ids() {
  add_id("bos", parts_.bos_id);
  add_id("eos", parts_.eos_id);
  const nlohmann::json names = read_hf_settings(folder_ + "/tokenizer_config.json");
  const auto named = [&](const char* key) {
    return names.is_object() ? find_hf_special_id(names, key, parts_) : std::nullopt;
  };
  const auto unknown = named("unk_token");
  add_id("unknown", unknown ? unknown : unknown_);
  add_id("padding", named("pad_token"));
  add_id("seperator", named("sep_token"));  // GGUF's spelling
}

// Beside EOS, GGUF has room for two more ids that end an answer; readers know others by their text.
void Writer::write_end_ids() {
  std::vector<std::int32_t> by_text, others;
  add_end_ids(*parts_.special, by_text);
  for (const std::int32_t id : parts_.end_ids) {
    const bool known =
        id == parts_.eos_id || std::binary_search(by_text.begin(), by_text.end(), id);
    if (!known) others.push_back(id);
  }
  const char* const names[] = {"eot", "eom"};
  for (std::size_t i = 0; i < std::min<std::size_t>(2, others.size()); ++i) {
    add_id(names[i], others[i]);
  }
  if (others.size() > 2) {
    note(fmt::format("{} more ids end an answer than GGUF has room for", others.size() - 2));
  }
}

// What stands around a text.
void Writer::write_frame() {
  using Ids = std::vector<std::int32_t>;
  const Ids &before = parts_.prefix_ids, &after = parts_.suffix_ids;
  const bool bos = parts_.bos_id && !before.empty() && before.front() == *parts_.bos_id;
  const bool eos = parts_.eos_id && !after.empty() && after.back() == *parts_.eos_id;
  header_.add_metadata(kPrefix + "add_bos_token", bos);
  header_.add_metadata(kPrefix + "add_eos_token", eos);
  if (before.size() > bos || after.size() > eos) {
    note("other tokens than BOS and EOS are put around a text: GGUF cannot say so");
  }
}

}  // namespace

std::vector<std::string> add_gguf_vocabulary(const std::string& folder, std::int64_t n_rows,
                                             GgufHeaderBuilder& header) {
  if (!std::filesystem::exists(folder + "/tokenizer.json")) {
    header.add_metadata(kPrefix + "model", std::string("no_vocab"));
    return {
        "the folder has no tokenizer.json: the file has no vocabulary, and takes token ids "
        "alone"};
  }
  // The whole of it once, and gone again: what this program could not read back is refused here.
  read_hf_tokenizer(hf_file(folder + "/tokenizer.json"));
  return Writer(folder, n_rows, header).write();
}

}  // namespace windlass

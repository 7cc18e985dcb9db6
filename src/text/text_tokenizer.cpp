// Encoding through the parts.
#include "src/text/text_tokenizer.h"

#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include "src/base/error.h"
#include "src/text/utf8.h"

namespace windlass {
namespace {

// The texts that end an answer in the known families; a vocabulary that marks one as special means
// it.
constexpr std::string_view kEndTexts[] = {
    "<|im_end|>",      "<|eot_id|>",    "<|eom_id|>",
    "<|end|>",         "<|endoftext|>", "<|end_of_text|>",
    "<|end_of_turn|>", "<|return|>",    "<|call|>",
    "<end_of_turn>",   "</s>",          "<eos>",
    "<EOT>",           "[EOS]",         "<｜end▁of▁sentence｜>",
};

std::int64_t bytes_of(const std::vector<std::int32_t>& ids) {
  return static_cast<std::int64_t>(ids.capacity() * sizeof(ids[0]));
}

}  // namespace

// Takes the pieces of the pre-tokenizer as words.
class TextTokenizer::WordSink final : public PreTokenizer::Sink {
 public:
  WordSink(const TextTokenizer& tokenizer, std::vector<std::int32_t>& ids)
      : tokenizer_(tokenizer), ids_(ids) {}
  void piece(std::string_view piece) override { tokenizer_.encode_word(piece, ids_); }

 private:
  const TextTokenizer& tokenizer_;
  std::vector<std::int32_t>& ids_;
};

TextTokenizer::TextTokenizer(TokenizerParts parts) : parts_(std::move(parts)) {}

std::vector<std::int32_t> TextTokenizer::encode(std::string_view text,
                                                const TokenizeOptions& options) const {
  if (text.size() >= INT32_MAX) {
    fail(ErrorCode::kUsage,
         "a text of {} bytes is too long to tokenize at once; the most is {} bytes", text.size(),
         INT32_MAX - 1);
  }
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = repair_utf8(text);
    text = repaired;
  }
  std::vector<std::int32_t> ids;
  if (options.add_special) ids = parts_.prefix_ids;
  std::size_t done = 0;
  while (const auto match = parts_.special->find(text, done, options.parse_special)) {
    encode_raw(text.substr(done, match->begin - done), options, done == 0, ids);
    ids.push_back(match->id);
    done = match->end;
  }
  encode_raw(text.substr(done), options, done == 0, ids);
  if (options.add_special) {
    ids.insert(ids.end(), parts_.suffix_ids.begin(), parts_.suffix_ids.end());
  }
  return ids;
}

void TextTokenizer::encode_raw(std::string_view text, const TokenizeOptions& options, bool at_start,
                               std::vector<std::int32_t>& ids) const {
  if (text.empty()) return;
  std::string normal;
  if (!parts_.normalizer.empty()) {
    normal = text;
    parts_.normalizer.apply(normal);
    text = normal;
  }
  std::size_t done = 0;
  while (parts_.normalized != nullptr) {
    const auto match = parts_.normalized->find(text, done, options.parse_special);
    if (!match) break;
    encode_normal(text.substr(done, match->begin - done), at_start && done == 0, ids);
    ids.push_back(match->id);
    done = match->end;
  }
  encode_normal(text.substr(done), at_start && done == 0, ids);
}

void TextTokenizer::encode_normal(std::string_view text, bool at_start,
                                  std::vector<std::int32_t>& ids) const {
  WordSink sink(*this, ids);
  parts_.pre_tokenizer.split(text, at_start, sink);
}

void TextTokenizer::encode_word(std::string_view word, std::vector<std::int32_t>& ids) const {
  const auto remembered = cache_.find(word);
  if (!remembered.empty()) {
    ids.insert(ids.end(), remembered.begin(), remembered.end());
    return;
  }
  const std::size_t n_before = ids.size();
  const std::string_view mark = parts_.space_mark;
  if (mark.empty() || word.find(mark) == std::string_view::npos) {
    parts_.model->encode(word, ids);
  } else {
    spaced_word_.clear();
    std::size_t done = 0;
    for (std::size_t at = word.find(mark); at != std::string_view::npos;
         at = word.find(mark, done)) {
      spaced_word_.append(word, done, at - done).append(" ");
      done = at + mark.size();
    }
    spaced_word_.append(word, done);
    parts_.model->encode(spaced_word_, ids);
    if (spaced_word_.capacity() > 1024) std::string().swap(spaced_word_);
  }
  cache_.put(word, std::span(ids).subspan(n_before));
}

std::string_view TextTokenizer::token_bytes(std::int32_t id, bool special) const {
  if (id >= parts_.n_vocab) return {};
  const TokenType type = parts_.vocabulary->type(id);
  const bool is_text = type != TokenType::kControl && type != TokenType::kUnknown;
  return is_text || special ? parts_.vocabulary->token(id) : std::string_view();
}

bool TextTokenizer::adds_bos() const {
  return parts_.bos_id && std::find(parts_.prefix_ids.begin(), parts_.prefix_ids.end(),
                                    *parts_.bos_id) != parts_.prefix_ids.end();
}

bool TextTokenizer::is_end_of_generation(std::int32_t id) const {
  return std::find(parts_.end_ids.begin(), parts_.end_ids.end(), id) != parts_.end_ids.end();
}

std::optional<std::int32_t> TextTokenizer::special_id(std::string_view text) const {
  if (const auto id = parts_.special->id_of(text)) return id;
  return parts_.normalized ? parts_.normalized->id_of(text) : std::nullopt;
}

std::int64_t TextTokenizer::size_bytes() const {
  return static_cast<std::int64_t>(sizeof(*this) + spaced_word_.capacity()) +
         parts_.vocabulary->size_bytes() + parts_.special->size_bytes() +
         (parts_.normalized ? parts_.normalized->size_bytes() : 0) +
         parts_.normalizer.size_bytes() + parts_.pre_tokenizer.size_bytes() +
         parts_.model->size_bytes() + cache_.size_bytes() + bytes_of(parts_.prefix_ids) +
         bytes_of(parts_.suffix_ids) + bytes_of(parts_.end_ids);
}

std::vector<std::int32_t> text_token_ids(const Vocabulary& vocabulary, std::int32_t n_vocab) {
  std::vector<std::int32_t> ids;
  for (std::int32_t id = 0; id < n_vocab; ++id) {
    const TokenType type = vocabulary.type(id);
    if (type == TokenType::kNormal || type == TokenType::kUnused) ids.push_back(id);
  }
  return ids;
}

void add_end_ids(const SpecialTokens& special, std::vector<std::int32_t>& ids) {
  for (const std::string_view text : kEndTexts) {
    if (const auto id = special.id_of(text)) ids.push_back(*id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  ids.shrink_to_fit();
}

void add_safe_cut(const Vocabulary& vocabulary, std::int32_t n_vocab, std::string_view mark,
                  PreTokenizer& pre_tokenizer) {
  std::set<std::int32_t> glue;
  for (const std::int32_t id : text_token_ids(vocabulary, n_vocab)) {
    std::string_view rest = vocabulary.token(id);
    std::int32_t before = ' ';
    while (!rest.empty()) {
      const CodePoint point = next_code_point(rest);
      if (point.value == ' ' && before != ' ') glue.insert(before);
      before = point.value;
      rest.remove_prefix(point.size_bytes);
    }
  }
  pre_tokenizer.add(SafeCut{mark, {glue.begin(), glue.end()}});
}

}  // namespace windlass

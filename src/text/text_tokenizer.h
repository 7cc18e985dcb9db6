// The one tokenizer, from either kind of file: special tokens, normalizer, pre-tokenizer, then a
// model over words behind a cache. A reader (gguf_tokenizer.cpp, json_tokenizer.cpp) fills in the
// parts.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/text/normalizer.h"
#include "src/text/pre_tokenizer.h"
#include "src/text/special_tokens.h"
#include "src/text/tokenizer.h"
#include "src/text/vocabulary.h"
#include "src/text/word_cache.h"
#include "src/text/word_model.h"

namespace windlass {

struct TokenizerParts {
  // Token bytes as they appear in text. Behind a pointer: the model refers to it.
  std::unique_ptr<Vocabulary> vocabulary;
  std::int32_t n_vocab = 0;                   // the vocabulary may hold more, which never come out
  std::unique_ptr<SpecialTokens> special;     // found in the text as it is
  std::unique_ptr<SpecialTokens> normalized;  // found in the normalized text; may be null
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<WordModel> model;
  std::string_view
      space_mark;  // what words have in place of the vocabulary's spaces; empty: nothing
  std::vector<std::int32_t> prefix_ids, suffix_ids;  // around a text, with add_special
  bool has_template = false;                         // the file itself says what these are
  std::optional<std::int32_t> bos_id, eos_id;
  std::vector<std::int32_t> end_ids;  // of generation
};

class TextTokenizer final : public Tokenizer {
 public:
  explicit TextTokenizer(TokenizerParts parts);

  std::vector<std::int32_t> encode(std::string_view text,
                                   const TokenizeOptions& options) const override;
  std::string_view token_bytes(std::int32_t id, bool special) const override;
  std::int32_t n_vocab() const override { return parts_.n_vocab; }
  std::optional<std::int32_t> bos_id() const override { return parts_.bos_id; }
  std::optional<std::int32_t> eos_id() const override { return parts_.eos_id; }
  bool adds_bos() const override;
  bool is_end_of_generation(std::int32_t id) const override;
  std::optional<std::int32_t> special_id(std::string_view text) const override;
  std::int64_t size_bytes() const override;

 private:
  class WordSink;

  void encode_raw(std::string_view text, const TokenizeOptions& options, bool at_start,
                  std::vector<std::int32_t>& ids) const;
  void encode_normal(std::string_view text, bool at_start, std::vector<std::int32_t>& ids) const;
  void encode_word(std::string_view word, std::vector<std::int32_t>& ids) const;

  TokenizerParts parts_;
  // What encode() works with; the reason why the class is not thread-safe.
  mutable WordCache cache_;
  mutable std::string spaced_word_;
};

// The tokens among these ids that text may become: normal ones and those never used.
std::vector<std::int32_t> text_token_ids(const Vocabulary& vocabulary, std::int32_t n_vocab);

// The ids of tokens that end an answer by their text, whatever a file calls its EOS: "<|im_end|>",
// "<|eot_id|>" and so on, where the vocabulary has them as special tokens. Appended to `ids`, which
// becomes sorted, each once.
void add_end_ids(const SpecialTokens& special, std::vector<std::int32_t>& ids);

// Where SafeCut may cut: adds it to the pre-tokenizer of a vocabulary whose tokens mark words by a
// space before them. `mark`: how the words write that space.
void add_safe_cut(const Vocabulary& vocabulary, std::int32_t n_vocab, std::string_view mark,
                  PreTokenizer& pre_tokenizer);

}  // namespace windlass

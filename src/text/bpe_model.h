// Byte-pair encoding of a word: over bytes (GPT-2's kind) or over characters with a fallback to
// bytes (SentencePiece's kind).
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "src/text/bpe_merger.h"
#include "src/text/merge_table.h"
#include "src/text/vocabulary.h"
#include "src/text/word_model.h"

namespace windlass {

struct BpeOptions {
  bool over_bytes = true;    // symbols are bytes; else characters
  bool whole_words = false;  // a word that is a token is that token, whatever the merges
  // The token of a single byte; -1: none. Over characters: what stands for those without a token.
  std::array<std::int32_t, 256> byte_ids{};
  std::optional<std::int32_t> unknown =
      std::nullopt;           // for a character with neither; none: it is left out
  bool fuse_unknown = false;  // neighbouring unknown ones are one token
  // Ids from here on are single characters that have no token but that merges begin with; one that
  // is left over comes out as its bytes.
  std::int32_t n_tokens = INT32_MAX;
};

class BpeModel final : public WordModel {
 public:
  // `index` finds tokens by their bytes; null where neither characters nor whole words are looked
  // up. The vocabulary must outlive the model and stay where it is.
  BpeModel(const Vocabulary& vocabulary, MergeTable merges, std::unique_ptr<TokenIndex> index,
           const BpeOptions& options);

  void encode(std::string_view word, std::vector<std::int32_t>& ids) override;
  std::int64_t size_bytes() const override;

 private:
  void push_symbols(std::string_view word);
  void push_unknown(std::string_view symbol, bool follows_unknown);
  bool has_bytes(std::string_view character) const;
  void expand_leftovers(std::size_t from, std::vector<std::int32_t>& ids) const;

  const Vocabulary& vocabulary_;
  MergeTable merges_;
  std::unique_ptr<TokenIndex> index_;
  BpeOptions options_;
  BpeMerger merger_;
};

}  // namespace windlass

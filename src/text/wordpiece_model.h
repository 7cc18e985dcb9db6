// WordPiece (BERT): the longest token that begins the word, then the longest that goes on, and so
// forth; a word that has no such cut is unknown as a whole.
#pragma once

#include <string>

#include "src/text/prefix_index.h"
#include "src/text/vocabulary.h"
#include "src/text/word_model.h"

namespace windlass {

struct WordPieceOptions {
  std::int32_t unknown = 0;
  std::int64_t max_characters = 100;  // a longer word is unknown
};

class WordPieceModel final : public WordModel {
 public:
  // Tokens that begin a word have a space before them, those that go on have not. `ids`: the tokens
  // that text may become. The vocabulary must outlive the model and stay where it is.
  WordPieceModel(const Vocabulary& vocabulary, std::vector<std::int32_t> ids,
                 const WordPieceOptions& options);

  void encode(std::string_view word, std::vector<std::int32_t>& ids) override;
  std::int64_t size_bytes() const override;

 private:
  // The longest token at `at` of the spaced word: its length, 0 for none.
  std::size_t longest(std::size_t at, std::int32_t& id) const;

  PrefixIndex index_;
  WordPieceOptions options_;
  std::string spaced_;  // the word with a space before it
};

}  // namespace windlass

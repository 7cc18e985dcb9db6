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
  bool over_bytes = false;     // each byte is a character
  std::string_view goes_on{};  // a constant: before tokens that go on, where words may hold it too
  std::int64_t max_characters = 100;  // a longer word is unknown
};

class WordPieceModel final : public WordModel {
 public:
  // The tokens that text may become: `first` begin a word and have a space before them, `next` go
  // on and have not. The vocabulary must outlive the model and stay where it is.
  WordPieceModel(const Vocabulary& vocabulary, std::vector<std::int32_t> first,
                 std::vector<std::int32_t> next, const WordPieceOptions& options);

  void encode(std::string_view word, std::vector<std::int32_t>& ids) override;
  std::int64_t size_bytes() const override;

 private:
  // The longest token of the index at `at` of the spaced word: its length, 0 for none.
  std::size_t longest(const PrefixIndex& index, std::size_t at, std::int32_t& id) const;
  // ... at its beginning.
  std::size_t longest_first(std::int32_t& id) const;

  PrefixIndex first_, next_;
  WordPieceOptions options_;
  std::string spaced_;  // the word with a space before it
};

}  // namespace windlass

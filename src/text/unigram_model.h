// Unigram (Kudo 2018, "Subword Regularization"): of all ways to cut a word into tokens the one
// whose scores (log-probabilities) sum highest, by Viterbi.
#pragma once

#include <array>
#include <optional>

#include "src/text/prefix_index.h"
#include "src/text/vocabulary.h"
#include "src/text/word_model.h"

namespace windlass {

struct UnigramOptions {
  bool over_bytes = false;  // each byte is a character
  std::int32_t unknown = 0;
  // The token of a single byte, for characters without a token; -1: none, they are unknown.
  std::array<std::int32_t, 256> byte_ids{};
};

class UnigramModel final : public WordModel {
 public:
  // `ids`: the tokens that text may become; scores[id] is each one's. The vocabulary must outlive
  // the model and stay where it is.
  UnigramModel(const Vocabulary& vocabulary, std::vector<std::int32_t> ids,
               std::vector<double> scores, const UnigramOptions& options);

  // A character without a token scores 10 below the lowest score; neighbouring ones are one unknown
  // token. Work memory: 16 B a byte of the word; of a long word it is given back at once.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) override;
  std::int64_t size_bytes() const override;

 private:
  struct Best {  // way to reach a place of the word
    double score;
    std::int32_t id;     // its last token; -1: not reached yet
    std::int32_t begin;  // where that begins
  };

  std::size_t character_size(std::string_view text) const;
  void extend(std::string_view word, std::size_t begin);
  void offer(std::size_t begin, std::size_t end, std::int32_t id, double score);
  void append_unknown(std::string_view text, std::vector<std::int32_t>& ids) const;

  PrefixIndex index_;
  std::vector<double> scores_;
  UnigramOptions options_;
  double unknown_score_ = 0;
  std::vector<Best> best_;
  std::vector<std::int32_t> ends_;  // of the chosen tokens, last first
};

}  // namespace windlass

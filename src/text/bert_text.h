// What BERT's tokenizers do to text before WordPiece: normalization and the split into words.
#pragma once

#include "src/text/normalizer.h"
#include "src/text/pre_tokenizer.h"

namespace windlass {

struct BertNormalizer {
  bool cleans = true;                // control characters go, white space becomes spaces
  bool drops_control_space = false;  // as CleanText's
  bool spaces_chinese = true;
  bool strips_accents = true;
  bool lowercases = true;
};

void add_bert_normalizer(const BertNormalizer& options, Normalizer& normalizer);
// White space parts words and vanishes; each punctuation character is a word.
void add_bert_splits(PreTokenizer& pre_tokenizer);

// A character of punctuation: of Unicode, or any of ASCII's that is no letter, digit or space.
inline constexpr const char* kPunctuation = R"([\p{P}!-/:-@\[-`{-~])";

}  // namespace windlass

// Scores for the tokens of a BPE with merges, so that joining the pair of the highest score, as
// SentencePiece does, follows the order of the merges. The inverse of spm_merges.h.
#pragma once

#include <cstdint>
#include <vector>

#include "src/text/hf_document.h"
#include "src/text/vocabulary.h"

namespace windlass {

struct MergeScores {
  // By id. A token that merges make: minus the place of its first merge among the tokens so made;
  // others (characters, special tokens): below all of them.
  std::vector<float> scores;
  // Tokens for which scores and merges differ: two others join to it and no merge says so, or its
  // merges have another token's between them.
  std::int64_t n_other_cuts = 0;
};

// `types`: of the ids that there are; special and byte tokens are no results. Cost: a pass over the
// file, and all cuts of all tokens are looked up.
MergeScores score_merges(const HfSource& source, const HfDocument& document,
                         const Vocabulary& types, std::int64_t n_tokens);

}  // namespace windlass

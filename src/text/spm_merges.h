// The merge rules that a SentencePiece vocabulary with scores implies: any two neighbours whose
// joined text is a token may merge, the higher score first.
#pragma once

#include <span>
#include <string_view>

#include "src/text/merge_table.h"
#include "src/text/vocabulary.h"

namespace windlass {

// Appends to the vocabulary those characters that some token is made of and that are no token
// themselves: merges begin with them all the same. Then gives the rules; equal scores have equal
// rank. REQUIRES: a score for each token. Error(kBadFile), naming `source`, for a token of more
// than 256 bytes or a score that is no number.
MergeTable spm_merges(Vocabulary& vocabulary, std::span<const float> scores,
                      std::string_view source);

}  // namespace windlass

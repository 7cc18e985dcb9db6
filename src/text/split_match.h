// Which of GGUF's named pre-tokenizers cuts text as a tokenizer.json does.
#pragma once

#include <optional>
#include <string_view>

#include "src/text/pre_tokenizer.h"
#include "src/text/split_families.h"

namespace windlass {

void add_family_splits(const NamedSplitFamily& family, PreTokenizer& pre_tokenizer);

struct SplitMatch {
  std::string_view name;
  bool beyond_ascii;  // equal there too
  bool whole_words;   // the family's is the wanted one
};

// The family whose pieces are those of `splits` on a text of what families treat differently: of
// ASCII all; among such ones the first that is also equal beyond it, and has this `whole_words`.
// Nothing where none cuts so. Cost: some eighty expressions compiled.
std::optional<SplitMatch> match_splits(const PreTokenizer& splits, bool whole_words);

}  // namespace windlass

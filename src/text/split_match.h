// Which of GGUF's named pre-tokenizers cuts text as a tokenizer.json does.
#pragma once

#include <optional>
#include <string_view>

#include "src/text/pre_tokenizer.h"
#include "src/text/split_families.h"

namespace windlass {

void add_family_splits(const NamedSplitFamily& family, PreTokenizer& pre_tokenizer);

// The first family whose pieces are those of `splits` on a text of all that families treat
// differently; of equal ones one with this `whole_words`. Nothing where none cuts so. Cost: some
// forty expressions compiled.
std::optional<NamedSplitFamily> find_equal_splits(const PreTokenizer& splits, bool whole_words);

}  // namespace windlass

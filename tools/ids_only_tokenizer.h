// Stands in where a model has no tokenizer that this build reads: ids come and go, text is empty.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "src/text/tokenizer.h"

namespace windlass {

// eos_id ends generation. `reason` is what encode() throws with: why there is no text.
std::unique_ptr<Tokenizer> make_ids_only_tokenizer(std::int32_t n_vocab,
                                                   std::optional<std::int32_t> eos_id,
                                                   std::string reason);

}  // namespace windlass

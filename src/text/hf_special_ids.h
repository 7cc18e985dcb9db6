// The ids that a Hugging Face folder names beside its tokenizer.json: tokenizer_config.json,
// config.json, generation_config.json.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "src/text/text_tokenizer.h"

namespace windlass {

// Sets BOS, EOS and the ids that end generation. A BOS is put before the text where add_bos_token
// says so and the tokenizer.json has no template of its own. Files that are not there say nothing.
// Error(kBadFile) for one that is no JSON object.
void read_hf_special_ids(const std::string& folder, TokenizerParts& parts);

// The id that `config` gives under `key`: "bos_token" (a text, or an object with "content") or
// "bos_token_id" (a number); nothing where it is absent or no token of the vocabulary.
std::optional<std::int32_t> find_hf_special_id(const nlohmann::json& config, const char* key,
                                               const TokenizerParts& parts);

// The lowest id of a token by its text, as the file writes a special or a whole word; for the time
// of construction: it looks at all tokens.
std::optional<std::int32_t> token_id_of(const TokenizerParts& parts, std::string_view text);

}  // namespace windlass

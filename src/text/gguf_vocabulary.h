// The tokenizer of a Hugging Face folder as the tokenizer.ggml.* metadata of a GGUF.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/format/gguf_header_builder.h"

namespace windlass {

// Adds lists, special ids and flags: as "gpt2" (BPE over bytes), "llama" (BPE with byte fallback,
// whose scores stand for the order of the merges) or "t5" (Unigram). There are n_rows tokens, as
// many as the embedding has rows; ids that the tokenizer has not are unused "[PAD<id>]". Without a
// tokenizer.json it adds "no_vocab". Returns what GGUF has no words for, a line each: then some
// texts are cut otherwise than by the folder's tokenizer.
// Errors: as read_hf_tokenizer; Error(kUnsupported) naming a split or normalizer that GGUF has no
// name for, and for WordPiece; Error(kBadFile) for a token that the embedding has no row for.
// Cost: some passes over the file; at first a whole tokenizer, then the vocabulary's text twice, for
// the time of the call.
std::vector<std::string> add_gguf_vocabulary(const std::string& folder, std::int64_t n_rows,
                                             GgufHeaderBuilder& header);

}  // namespace windlass

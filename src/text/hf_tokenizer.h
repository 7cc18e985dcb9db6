// Reads a Hugging Face tokenizer.json, with the tokenizer_config.json and generation_config.json
// beside it, into the parts of a tokenizer.
#pragma once

#include <string>

#include "src/text/hf_document.h"
#include "src/text/text_tokenizer.h"

namespace windlass {

// `path`: the file, or a folder with it. BPE (over bytes or with byte fallback), Unigram,
// WordPiece. Error(kUnsupported) naming a setting that this build has not, with the nearest one
// that it has; Error(kBadFile) for a malformed file. Memory beside the parts: the vocabulary's text
// once, for the time of the call.
TokenizerParts read_hf_tokenizer(const std::string& path);
// The tokenizer.json alone: no ids but those that it names itself.
TokenizerParts read_hf_tokenizer(const HfSource& source);
// As above, but without the model (null): what stands around it.
TokenizerParts read_hf_tokenizer_frame(const HfSource& source);

}  // namespace windlass

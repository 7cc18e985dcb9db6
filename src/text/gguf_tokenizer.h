// Reads tokenizer.ggml.* of a GGUF file into the parts of a tokenizer.
#pragma once

#include "src/format/tensor_table.h"
#include "src/text/text_tokenizer.h"

namespace windlass {

// tokenizer.ggml.model: gpt2 (byte-level BPE), llama (SentencePiece BPE), t5 (Unigram), bert
// (WordPiece). Errors as make_tokenizer's. The lists are streamed: there is no second copy of them.
TokenizerParts read_gguf_tokenizer(const TensorTable& table);

}  // namespace windlass

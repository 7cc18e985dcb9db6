// What perplexity and compare score: a text, or token ids, as tokens to be cut into windows.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/model/model.h"
#include "src/text/tokenizer.h"
#include "tools/command.h"

namespace windlass {

struct EvalText {
  std::vector<std::int32_t> tokens;
  std::optional<std::int32_t> bos;  // of each window, where the model's rule is to begin with it
  std::uint64_t vocabulary = 0;     // of the tokenizer it was read with
  std::int64_t tokenizer_bytes = 0;
};

// -f or --ids, with the model's tokenizer, which is let go. Error(kUsage) unless exactly one was
// given, and for a text that shares a passage with one of --calibrated-on; else as
// make_tokenizer_or_ids, read_given_ids.
EvalText read_eval_text(const Invocation& invocation, const Model& model);

// Of every token's bytes: ids mean the same where it is equal. 0: the model has no tokenizer.
std::uint64_t vocabulary_hash(const Tokenizer& tokenizer);

// The window of -c, else 512 tokens. Error(kUsage) for fewer than 4, or for more than the text has.
std::int64_t eval_window_tokens(const Options& options);
void require_window(const Options& options, const EvalText& text, std::int64_t window_tokens);

}  // namespace windlass

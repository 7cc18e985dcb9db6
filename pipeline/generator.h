// The generation loop: prompt ids to text, token by token. One loop for `run`, chat and whatever
// comes later.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/engine.h"
#include "src/text/sampler.h"
#include "src/text/tokenizer.h"

namespace windlass {

struct GenerateOptions {
  std::int64_t max_tokens = 128;  // -1: until the end token or the context is full
  bool ignore_eos = false;
  std::vector<std::string> stop;  // text that ends generation (not part of the output)
};

enum class FinishReason : std::uint8_t { kStop, kLength, kInterrupted };
const char* finish_reason_name(FinishReason reason);  // "stop", "length", "interrupted"

struct GenerateResult {
  std::vector<std::int32_t> ids;
  std::string text;
  FinishReason reason = FinishReason::kLength;
  double ttft_s = 0;  // from the call to the first token
};

// on_text gets whole UTF-8 characters as they come, never any part of a stop string. interrupted()
// is asked once a token; that, and an Error(kInterrupted) of the engine or of progress, end
// generation with what there is.
GenerateResult generate(Engine& engine, const Tokenizer& tokenizer, Sampler& sampler,
                        std::span<const std::int32_t> prompt, const GenerateOptions& options,
                        const std::function<void(std::string_view)>& on_text,
                        const std::function<bool()>& interrupted, const Progress& progress);

}  // namespace windlass

// Recall probes: a string of random tokens stands early in a text and comes again much later; a
// model that still sees it copies it once it has been cued. What a lossy KV cache forgets shows
// here before it shows in perplexity, since hardly any token of ordinary text needs a far one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "pipeline/eval/token_windows.h"

namespace windlass {

struct RecallShape {
  static constexpr std::int64_t kLeadTokens = 8;     // of the text, before the string
  static constexpr std::int64_t kStringTokens = 16;  // planted
  static constexpr std::int64_t kCueTokens = 3;      // of it, later; the rest is scored
  std::int64_t distance_tokens = 0;  // of the text, between the string and the cue; > 0
  std::int64_t window_tokens() const {
    return kLeadTokens + kStringTokens + distance_tokens + kStringTokens;
  }
};

// n probes as windows, the 13 tokens after the cue scored: top_is_target is the recall. Each takes
// the next stretch of `text` (from its beginning again where that ends) and a string drawn without
// repetition from the different tokens of the text, which leaves out what no text has (special
// tokens, bytes); `bos`, if any, takes the place of the first token. Error(kUsage) for a text
// shorter than one probe's part of it, or of fewer than 64 different tokens.
TokenWindows make_recall_probes(std::span<const std::int32_t> text, const RecallShape& shape,
                                std::int64_t n_probes, std::optional<std::int32_t> bos,
                                std::uint64_t seed);

}  // namespace windlass

#include "pipeline/eval/recall.h"

#include <algorithm>
#include <random>

#include "src/base/check.h"
#include "src/base/error.h"

namespace windlass {
namespace {

// A string of 16 tokens out of fewer would be no more random than the text.
constexpr std::size_t kLeastDifferent = 64;

std::vector<std::int32_t> different_tokens(std::span<const std::int32_t> text) {
  std::vector<std::int32_t> ids(text.begin(), text.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  if (ids.size() < kLeastDifferent) {
    fail(ErrorCode::kUsage,
         "the text has {} different tokens, a recall probe needs {}: use a richer text", ids.size(),
         kLeastDifferent);
  }
  return ids;
}

// The first kStringTokens of `ids` become a string drawn from all of them.
std::span<const std::int32_t> draw_string(std::vector<std::int32_t>& ids, std::mt19937_64& random) {
  constexpr auto kTokens = static_cast<std::size_t>(RecallShape::kStringTokens);
  for (std::size_t i = 0; i < kTokens; ++i) {
    std::swap(ids[i], ids[i + random() % (ids.size() - i)]);
  }
  return std::span(ids).first(kTokens);
}

}  // namespace

TokenWindows make_recall_probes(std::span<const std::int32_t> text, const RecallShape& shape,
                                std::int64_t n_probes, std::optional<std::int32_t> bos,
                                std::uint64_t seed) {
  WINDLASS_CHECK(shape.distance_tokens > 0 && n_probes > 0, shape.distance_tokens, n_probes);
  const std::int64_t text_tokens = RecallShape::kLeadTokens + shape.distance_tokens;
  if (std::ssize(text) < text_tokens) {
    fail(ErrorCode::kUsage, "the text has {} tokens, a recall probe at a distance of {} needs {}",
         text.size(), shape.distance_tokens, text_tokens);
  }
  std::vector<std::int32_t> ids = different_tokens(text);
  std::mt19937_64 random(seed);
  const std::int64_t n_scored = RecallShape::kStringTokens - RecallShape::kCueTokens;
  TokenWindows probes{{}, {shape.window_tokens(), shape.window_tokens() - 1 - n_scored}};
  probes.tokens.reserve(static_cast<std::size_t>(n_probes * shape.window_tokens()));
  const auto append = [&](std::span<const std::int32_t> part) {
    probes.tokens.insert(probes.tokens.end(), part.begin(), part.end());
  };
  std::int64_t begin = 0;
  for (std::int64_t probe = 0; probe < n_probes; ++probe) {
    if (begin + text_tokens > std::ssize(text)) begin = 0;
    const auto part =
        text.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(text_tokens));
    const auto planted = draw_string(ids, random);
    const std::size_t first = probes.tokens.size();
    append(part.first(RecallShape::kLeadTokens));
    append(planted);
    append(part.subspan(RecallShape::kLeadTokens));
    append(planted);
    if (bos) probes.tokens[first] = *bos;
    begin += text_tokens;
  }
  return probes;
}

}  // namespace windlass

// Tokens to be scored, cut into windows that each run alone from position 0: what perplexity,
// comparisons and recall probes have in common.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace windlass {

// A row is a position whose logits are scored: they predict the token after it. The last position
// of a window predicts nothing that is known, so it is no row.
struct WindowShape {
  std::int64_t window_tokens = 0;
  std::int64_t first_scored = 0;  // position of the first row
  std::int64_t rows() const { return window_tokens - 1 - first_scored; }
  // To be asked of the engine: the rows and the last position.
  std::int64_t logits_rows() const { return window_tokens - first_scored; }
};

struct TokenWindows {
  std::vector<std::int32_t> tokens;  // whole windows, one after the other
  WindowShape shape;

  std::int64_t count() const {
    return static_cast<std::int64_t>(tokens.size()) / shape.window_tokens;
  }
  std::int64_t n_scored() const { return count() * shape.rows(); }
  std::span<const std::int32_t> window(std::int64_t i) const {
    return std::span(tokens).subspan(static_cast<std::size_t>(i * shape.window_tokens),
                                     static_cast<std::size_t>(shape.window_tokens));
  }
  std::int64_t size_bytes() const {
    return static_cast<std::int64_t>(tokens.capacity() * sizeof(std::int32_t));
  }
  // Of ids and shape: equal windows are scored alike.
  std::uint64_t hash() const;
};

// llama-perplexity's method: windows follow one another, what is left at the end is dropped, the
// second half of each is scored, and `bos` (if any) takes the place of its first token.
// most_windows 0: all. REQUIRES tokens.size() >= window_tokens >= 4.
TokenWindows cut_windows(std::vector<std::int32_t> tokens, std::int64_t window_tokens,
                         std::optional<std::int32_t> bos, std::int64_t most_windows);

}  // namespace windlass

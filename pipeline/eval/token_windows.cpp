#include "pipeline/eval/token_windows.h"

#include <algorithm>

#include "src/base/check.h"
#include "src/base/checksum.h"

namespace windlass {

std::uint64_t TokenWindows::hash() const {
  const std::int64_t numbers[] = {shape.window_tokens, shape.first_scored};
  return checksum64(std::as_bytes(std::span(tokens)),
                    checksum64(std::as_bytes(std::span(numbers))));
}

TokenWindows cut_windows(std::vector<std::int32_t> tokens, std::int64_t window_tokens,
                         std::optional<std::int32_t> bos, std::int64_t most_windows) {
  const auto n_tokens = static_cast<std::int64_t>(tokens.size());
  WINDLASS_CHECK(window_tokens >= 4 && n_tokens >= window_tokens, window_tokens, n_tokens);
  std::int64_t n_windows = n_tokens / window_tokens;
  if (most_windows > 0) n_windows = std::min(n_windows, most_windows);
  tokens.resize(static_cast<std::size_t>(n_windows * window_tokens));
  for (std::int64_t i = 0; bos && i < n_windows; ++i) {
    tokens[static_cast<std::size_t>(i * window_tokens)] = *bos;
  }
  return {std::move(tokens), {window_tokens, window_tokens / 2}};
}

}  // namespace windlass

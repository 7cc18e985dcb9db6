#include "pipeline/eval/teacher_forcing.h"

#include <vector>

#include "src/base/error.h"

namespace windlass {
namespace {

void require_numbers(std::span<const RowScore> rows, std::int64_t window,
                     const WindowShape& shape) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (std::isfinite(rows[i].nll())) continue;
    fail(ErrorCode::kBadFile,
         "the logits of window {}, position {} are not finite: the model's weights are damaged, or "
         "too large for this arithmetic",
         window + 1, shape.first_scored + static_cast<std::int64_t>(i));
  }
}

}  // namespace

void set_scoring_shape(EngineOptions& options, const WindowShape& shape) {
  options.context_tokens = shape.window_tokens;
  options.max_rows = shape.window_tokens;
  options.logits_rows = shape.logits_rows();
}

std::int64_t scoring_bytes(const WindowShape& shape) {
  return shape.rows() * static_cast<std::int64_t>(sizeof(RowScore));
}

void score_windows(Engine& engine, const TokenWindows& windows, const ScoringSinks& sinks,
                   const Progress& progress) {
  const WindowShape& shape = windows.shape;
  const std::int64_t n_rows = shape.rows();
  std::vector<RowScore> rows(static_cast<std::size_t>(n_rows));
  for (std::int64_t window = 0; window < windows.count(); ++window) {
    const std::span<const std::int32_t> tokens = windows.window(window);
    for (std::int64_t row = 0; row < n_rows; ++row) {
      rows[static_cast<std::size_t>(row)] =
          RowScore(tokens[static_cast<std::size_t>(shape.first_scored + row + 1)]);
    }
    const auto take = [&](const LogitsTile& tile) {
      for (std::int64_t i = 0; i < tile.rows; ++i) {
        const std::int64_t row = tile.first_position + i - shape.first_scored;
        if (row == n_rows) continue;  // nothing follows the last position
        const std::span logits(tile.data + i * tile.stride, static_cast<std::size_t>(tile.columns));
        rows[static_cast<std::size_t>(row)].add(logits, tile.first_column);
        if (sinks.on_tile) sinks.on_tile({window * n_rows + row, tile.first_column, logits});
      }
    };
    engine.roll_back(0);
    engine.feed(tokens, shape.logits_rows(), take, progress);
    require_numbers(rows, window, shape);
    sinks.on_window(window, rows);
  }
}

}  // namespace windlass

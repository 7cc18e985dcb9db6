// Teacher forcing: each window of tokens is fed to a model as it is, and every scored row says how
// likely the model thought the token that came. The one loop that evaluations run.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "pipeline/engine.h"
#include "pipeline/eval/row_score.h"
#include "pipeline/eval/token_windows.h"

namespace windlass {

// Columns of one row's logits. `row` counts over all windows: window * shape.rows() + row of it.
struct RowTile {
  std::int64_t row = 0;
  std::int64_t first_column = 0;
  std::span<const float> logits;
};

struct ScoringSinks {
  // Every column of every row, a window's rows before the next window's; null: not wanted.
  std::function<void(const RowTile&)> on_tile = nullptr;
  // After each window: its rows, in order.
  std::function<void(std::int64_t window, std::span<const RowScore> rows)> on_window;
};

// What the engine must be opened with: context, rows and logits rows. Its table_bytes have to hold
// scoring_bytes() besides what the caller has.
void set_scoring_shape(EngineOptions& options, const WindowShape& shape);
std::int64_t scoring_bytes(const WindowShape& shape);

// Rolls the engine back before each window. Errors as Engine::feed; Error(kBadFile) when a logit is
// no number, naming window and position.
void score_windows(Engine& engine, const TokenWindows& windows, const ScoringSinks& sinks,
                   const Progress& progress);

}  // namespace windlass

#include "pipeline/buffer_places.h"

#include <algorithm>

namespace windlass {

Columns columns_of(const LayerGraph& graph, const View& view) {
  const BufferSpec& buffer = graph.buffer(view.buffer);
  if (buffer.kind != BufferKind::kF32) return {0, buffer.width};
  const std::int64_t width = graph.width_of(view), last = view.vectors - 1;
  return {view.column, view.column + last / view.per_group * view.group_stride +
                           std::min(last, view.per_group - 1) * view.vector_stride + width};
}

BufferPlaces::BufferPlaces(const LayerGraph& graph, std::vector<BufferMove>* moves)
    : graph_(graph), moves_(moves), pieces_(graph.buffers.size()) {}

void BufferPlaces::read(BufferId buffer, Columns columns, Processor by, std::int32_t before) {
  const auto side = static_cast<std::size_t>(by);
  Pieces wanted;
  for (const Piece& piece : pieces(buffer)) {
    const Columns shared = {std::max(piece.columns.first, columns.first),
                            std::min(piece.columns.end, columns.end)};
    if (shared.first < shared.end && !piece.at[side]) wanted.push_back({shared, {}});
  }
  for (const Piece& piece : wanted) {
    move(buffer, piece.columns, by, before);
    set(buffer, piece.columns, true, true);
  }
}

void BufferPlaces::wrote(BufferId buffer, Columns columns, Processor by) {
  set(buffer, columns, by == Processor::kCpu, by == Processor::kGpu);
}

void BufferPlaces::both_wrote(BufferId buffer, Columns columns) {
  set(buffer, columns, true, true);
}

void BufferPlaces::set(BufferId buffer, Columns columns, bool on_cpu, bool on_gpu) {
  if (columns.first >= columns.end) return;
  Pieces kept;
  for (const Piece& piece : pieces(buffer)) {
    Piece left = piece, right = piece;
    left.columns.end = std::min(left.columns.end, columns.first);
    right.columns.first = std::max(right.columns.first, columns.end);
    if (left.columns.first < left.columns.end) kept.push_back(left);
    if (right.columns.first < right.columns.end) kept.push_back(right);
  }
  const auto later = std::find_if(kept.begin(), kept.end(), [&](const Piece& piece) {
    return piece.columns.first >= columns.end;
  });
  kept.insert(later, {columns, {on_cpu, on_gpu}});
  // Neighbours in the same places are one.
  Pieces& merged = pieces(buffer);
  merged.clear();
  for (const Piece& piece : kept) {
    const bool joins = !merged.empty() && merged.back().columns.end == piece.columns.first &&
                       std::equal(piece.at, piece.at + 2, merged.back().at);
    if (joins) {
      merged.back().columns.end = piece.columns.end;
    } else {
      merged.push_back(piece);
    }
  }
}

void BufferPlaces::move(BufferId buffer, Columns columns, Processor to, std::int32_t before) {
  const BufferSpec& spec = graph_.buffer(buffer);
  const bool whole = columns.first == 0 && columns.end == spec.width && !spec.tiled;
  moves_->push_back({buffer, to, before, columns.first, whole ? 0 : columns.end - columns.first});
}

}  // namespace windlass

// While a plan is written: which processor holds which columns of each activation buffer, and hence
// what has to move before an entry can start.
#pragma once

#include <cstdint>
#include <vector>

#include "pipeline/schedule.h"
#include "src/model/layer_graph.h"

namespace windlass {

// Columns [first, end) of a buffer's rows.
struct Columns {
  std::int64_t first = 0, end = 0;
};

// Those that a view covers, gaps between its vectors included; the whole row where the buffer is
// not of floats.
Columns columns_of(const LayerGraph& graph, const View& view);

// Owner-thread. All buffers are empty at first; what is in none needs no move.
class BufferPlaces {
 public:
  BufferPlaces(const LayerGraph& graph, std::vector<BufferMove>* moves);
  // `by` reads the columns in entry `before`: what it does not have is moved to it.
  void read(BufferId buffer, Columns columns, Processor by, std::int32_t before);
  // `by` has written the columns: what the other has of them is stale.
  void wrote(BufferId buffer, Columns columns, Processor by);
  // Both have written them, alike.
  void both_wrote(BufferId buffer, Columns columns);

 private:
  // Disjoint and ascending; columns that are in none were never written.
  struct Piece {
    Columns columns;
    bool at[2];  // by Processor
  };
  using Pieces = std::vector<Piece>;

  Pieces& pieces(BufferId buffer) { return pieces_[static_cast<std::size_t>(index_of(buffer))]; }
  void set(BufferId buffer, Columns columns, bool on_cpu, bool on_gpu);
  void move(BufferId buffer, Columns columns, Processor to, std::int32_t before);

  const LayerGraph& graph_;
  std::vector<BufferMove>* moves_;
  std::vector<Pieces> pieces_;  // by BufferId
};

}  // namespace windlass

// Where each activation buffer of a layer graph lies in the arena, for a given number of rows.
#pragma once

#include <cstdint>
#include <vector>

#include "src/model/layer_graph.h"

namespace windlass {

// Which experts the last kRoute gave each row, where a model has some. A row's choices are
// neighbours.
struct RoutingLayout {
  std::int64_t experts_offset = 0;  // int32 [token_rows, n_used]
  std::int64_t shares_offset = 0;   // f32 [token_rows, n_used]
  std::int64_t places_offset = 0;   // int32 [token_rows, n_used]: rows of kRouted buffers
  std::int64_t sources_offset = 0;  // int32 [token_rows * n_used]: the row that a routed row is of
  std::int64_t ends_offset = 0;     // int32 [n_experts]: where each expert's routed rows end
};

struct ActivationLayout {
  std::int64_t token_rows = 0, logits_rows = 0;
  std::int64_t tile_columns = 0;          // columns of a tiled buffer held at once
  std::vector<std::int64_t> offsets;      // by BufferId, 64-byte aligned
  std::vector<std::int64_t> row_strides;  // bytes between rows, by BufferId
  std::int64_t rope_offset = 0,
               window_rope_offset = 0;  // cosines, then sines: f32 [token_rows, dims/2] each
  std::int64_t positions_offset = 0;    // int32 [token_rows]
  std::int64_t selected_offset = 0;     // int32 [logits_rows]: the rows whose logits are wanted
  RoutingLayout routing;
  std::int64_t vector_offset = 0;                        // f32: one row of a weight, widened
  std::int64_t partials_offset = 0, partials_bytes = 0;  // of attention (op_args.h)
  std::int64_t size_bytes = 0;

  // What is known of a step's rows before it starts lies side by side, alike for every tile.
  std::int64_t known_offset() const { return rope_offset; }
  std::int64_t known_bytes() const { return routing.experts_offset - rope_offset; }
};

// A kRouted buffer has token_rows * n_used rows; partials are those of one row over the context (0:
// none). Bytes follow from shapes alone (law 2): no budget
// enters.
ActivationLayout make_activation_layout(const LayerGraph& graph, const ModelSpec& spec,
                                        std::int64_t token_rows, std::int64_t logits_rows,
                                        std::int64_t tile_columns, std::int64_t context_tokens);

// The default -ub: the largest power of two from 16 to 512 whose activations stay within the larger
// of 8 MiB and 1/16 of the model's bytes: enough rows to reuse each streamed weight, without
// letting small models spend a small budget on activations.
std::int64_t default_micro_batch(const LayerGraph& graph, const ModelSpec& spec,
                                 std::int64_t weight_bytes);

}  // namespace windlass

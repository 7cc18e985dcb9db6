// Which ops of a model a GPU can take: what its table has a row for.
#pragma once

#include "kernels/op_table.h"
#include "src/model/layer_graph.h"

namespace windlass {

// Whether the op can be put on a stream: bound alike on both processors (op_binder.h), with a row
// in the table for its weight's type, and vectors that kernels read as they lie.
bool gpu_has_row(const DeviceOpTable& ops, const LayerGraph& graph, const TensorTable& tensors,
                 const GraphOp& op);

}  // namespace windlass

// A model's forward pass as a list of ops over named tensors and activation buffers: data that the planner reads, the
// simulator times and the executor plays. Not a function with the weights inside.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/ids.h"
#include "src/model/model_spec.h"

namespace windlass {

enum class OpKind : std::uint8_t {
  kEmbedRows,    // out[t] = dequantised row ids[t] of `weight`
  kRmsNorm,      // out = in / rms(in) * weight
  kQuantizeRows, // out (q8 rows) = 8-bit form of in
  kMatMul,       // out[t, r] (+)= dot(weight row r, in[t])
  kRope,         // rotates `in` in place by the step's positions; `heads` heads of head_dim
  kKvAppend,     // writes in (K) and in2 (V) into the layer's KV pages
  kAttention,    // out = attention of in (Q) over the layer's KV segments
  kSwiGlu,       // out = silu(in) * in2
  kSelectRows,   // out = the rows of in whose logits are wanted
  kEmitLogits,   // hands finished logits columns to the step's sink
};
const char* op_kind_name(OpKind kind);

enum class BufferKind : std::uint8_t { kF32, kQ8 };

// Rows of a buffer: one per token of the step (micro-batch), or one per wanted logits row.
enum class RowSet : std::uint8_t { kTokens, kLogits };

struct BufferSpec {
  std::string name;          // "residual", "normed", ...
  BufferKind kind = BufferKind::kF32;
  std::int64_t width = 0;    // elements a row
  RowSet rows = RowSet::kTokens;
  bool tiled = false;        // holds one weight block's columns at a time (the logits): width is the whole row
};

struct GraphOp {
  OpKind kind = OpKind::kRmsNorm;
  std::int32_t layer = -1;              // -1: not of a layer
  TensorId weight = kNoTensor;
  BufferId in = kNoBuffer, in2 = kNoBuffer, out = kNoBuffer;
  bool accumulate = false;              // kMatMul: add to out (the residual) instead of overwriting
  std::int32_t heads = 0;               // kRope
  RowSet rows = RowSet::kTokens;        // which rows the op works on
  std::string label;                    // "blk.3.ffn_up", for traces and plans
};

struct LayerGraph {
  std::vector<BufferSpec> buffers;
  std::vector<GraphOp> ops;             // in execution order; each depends on those before it
};

// kInt8: 8-bit activations for quantised weights; kExact: f32 activations throughout.
enum class Activations : std::uint8_t { kInt8, kExact };

// Throws Error(kBadFile) for a missing tensor (named).
LayerGraph build_layer_graph(const ModelSpec& spec, const TensorTable& table, Activations activations);

}  // namespace windlass

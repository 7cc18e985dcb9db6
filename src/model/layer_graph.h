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
  kEmbedRows,       // out[t] = dequantised row ids[t] of `weight`
  kEmbedPositions,  // out[t] = dequantised row (position of t + first_row) of `weight`
  kRmsNorm,         // out = in / rms(in) * weight, each vector by itself
  kLayerNorm,       // out = (in - mean(in)) / deviation(in) * weight, each vector by itself
  kQuantizeRows,    // out (q8 or bf16 rows) = that form of in
  kMatMul,          // out[t, r] (+)= dot(weight row r, in[t])
  kAddBias,         // out += weight, one row of it
  kAdd,             // out += in
  kRope,            // rotates the vectors of `in` by the step's positions, in place or into `out`
  kKvAppend,        // writes in (K) and in2 (V) into the layer's KV pages
  kAttention,       // out = attention of in (Q) over the layer's KV segments
  kActivate,        // out = activation(in), times in2 where there is one
  kScale,           // in *= scale in place, soft-capped where soft_cap > 0
  kSelectRows,      // out = the rows of in whose logits are wanted
  kEmitLogits,      // hands finished logits columns to the step's sink
  kRoute,           // from the router's scores `in`: the experts of each row and their shares (ModelSpec::experts), `weight` the
                    // choice's bias; groups the rows by expert
  kGatherRouted,    // out (kRouted) = rows of in, by expert
  kCombineRouted,   // out += each row's sum over its experts of share * in (kRouted)
};
const char* op_kind_name(OpKind kind);

enum class BufferKind : std::uint8_t { kF32, kQ8, kBf16 };

// Rows of a buffer: one per token of the step (micro-batch), one per wanted logits row, or one per token and expert that it
// is routed to, grouped by expert (rows of one expert are neighbours).
enum class RowSet : std::uint8_t { kTokens, kLogits, kRouted };

// What the matrices of a stacked weight work on. kRouted: expert e on the rows routed to it. kByVector: matrix v on vector v of
// every row (heads).
enum class StackKind : std::uint8_t { kNone, kRouted, kByVector };

// The rows of a kByVector weight that are matrix v: [first + v * stride, first + v * stride + count). Others are not the op's.
struct MatrixRows {
  std::int64_t first = 0, stride = 0, count = 0;
};

struct BufferSpec {
  std::string name;          // "residual", "normed", ...
  BufferKind kind = BufferKind::kF32;
  std::int64_t width = 0;    // elements a row
  RowSet rows = RowSet::kTokens;
  bool tiled = false;        // holds one weight block's columns at a time (the logits): width is the whole row
  std::int64_t vectors = 1;  // kQ8, kBf16: rounded rows of that width in a row
};

// What an op reads or writes of a buffer's rows: `vectors` stretches of `width` elements in each (the heads of Q inside a fused
// qkv row), or the row from `column` on.
struct View {
  BufferId buffer = kNoBuffer;
  std::int64_t column = 0;              // of the first vector
  std::int64_t width = 0;               // 0: the rest of the row
  std::int64_t vectors = 1;             // in a row
  // Vector v begins at column + v / per_group * group_stride + v % per_group * vector_stride.
  std::int64_t per_group = 1, group_stride = 0, vector_stride = 0;

  bool present() const { return buffer != kNoBuffer; }
};

struct GraphOp {
  OpKind kind = OpKind::kRmsNorm;
  std::int32_t layer = -1;              // -1: not of a layer
  TensorId weight = kNoTensor;
  View in, in2, out;
  bool accumulate = false;              // kMatMul: add to out (the residual) instead of overwriting
  RowSet rows = RowSet::kTokens;        // which rows the op works on
  Activation activation = Activation::kSilu;  // kActivate
  bool window_rope = false;             // kRope: by ModelSpec::window_rope
  std::int64_t window_tokens = 0;       // kAttention: 0: none
  float scale = 1, soft_cap = 0;        // kScale; kAttention: of the scores
  std::int64_t first_row = 0;           // kEmbedPositions
  StackKind stack = StackKind::kNone;   // kMatMul
  std::int64_t n_stacked = 1;           // matrices in the weight; kRoute: experts to choose among
  std::int64_t n_chosen = 0;            // kRoute, kMatMul of kRouted: experts that each row goes to
  std::vector<TensorId> stacked;        // kRouted: the matrices where each is a tensor of its own (`weight` is the first)
  // kMatMul: products that follow each other and have the same number >= 0 do not depend on each other, nor any row on another
  std::int32_t independent = -1;
  MatrixRows matrix_rows;               // kByVector
  bool transposed = false;              // kByVector: rows of a matrix are inputs, not outputs
  std::string label;                    // "blk.3.ffn_up", for traces and plans
};

struct LayerGraph {
  std::vector<BufferSpec> buffers;
  std::vector<GraphOp> ops;             // in execution order; each depends on those before it

  const BufferSpec& buffer(BufferId id) const { return buffers[static_cast<std::size_t>(index_of(id))]; }
  std::int64_t width_of(const View& view) const {
    return view.width > 0 ? view.width : buffer(view.buffer).width - view.column;
  }
};

// Ops that take rows of their weight one by one, by id or position, instead of the whole tensor.
constexpr bool fetches_rows(OpKind kind) { return kind == OpKind::kEmbedRows || kind == OpKind::kEmbedPositions; }

// Rows [first_row, first_row + n_rows) of `tensor`.
struct TensorRows {
  TensorId tensor = kNoTensor;
  std::int64_t first_row = 0, n_rows = 0;
};
// Expert `index`'s matrix of a kMatMul. REQUIRES op.stack == kRouted, 0 <= index < op.n_stacked.
TensorRows stacked_rows(const GraphOp& op, const TensorTable& table, std::int64_t index);

// kInt8: 8-bit activations for quantised weights; kInt8Bf16: these, and bf16 ones for BF16 weights; kExact: f32 activations
// throughout.
enum class Activations : std::uint8_t { kInt8, kInt8Bf16, kExact };

// Errors as map_weights.
LayerGraph build_layer_graph(const ModelSpec& spec, const TensorTable& table, Activations activations);

}  // namespace windlass

// The contract of each op: one POD of pointers and sizes. Per-ISA files include this, so: PODs only, no std:: code.
// All matrices are row-major. Buffers never alias unless said. No op allocates, throws or locks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/ops/kv_type.h"

namespace windlass {

// Work items [begin, end) of an op: the unit is stated at each struct. Any split of the items over calls and threads gives
// bit-identical results (law 2).
struct WorkRange {
  std::int64_t begin, end;
};

// Vectors inside the rows of a buffer: the heads of a query, the keys in a fused qkv row, or one vector a row.
// Vector h of row t starts at data + t * row_stride + h / per_group * group_stride + h % per_group * vector_stride.
struct Vectors {
  float* data;
  std::int64_t row_stride;               // all strides in floats
  std::int64_t per_group, group_stride;  // per_group >= 1
  std::int64_t vector_stride;            // between the vectors of a group
};

// One vector a row.
constexpr Vectors plain_rows(float* data, std::int64_t row_stride) { return {data, row_stride, 1, 0, 0}; }

// Norms of each vector by itself, x = in[t, h]:
//   rms_norm:   out[i] = x[i] / sqrt(mean(x^2) + epsilon) * (weight[i] + weight_offset)
//   layer_norm: out[i] = (x[i] - mean(x)) / sqrt(variance(x) + epsilon) * (weight[i] + weight_offset)
// Items: rows t. In-place (out == in) is allowed.
struct NormArgs {
  Vectors in, out;
  const float* weight;             // [width]
  std::int64_t rows, vectors, width;
  float epsilon;
  float weight_offset;             // 1 where a file holds weight - 1
};

// A q8 row of `width` activations, for quantised matmuls: blocks of 32, a cache line each when the row is aligned; symmetric,
// scale = max|x| / 127. Sums are there for all values of a block and for its first and last 16 (types with a scale for 16 weights).
// The last block of a ragged width is zero padded.
inline constexpr std::int64_t kQ8Block = 32;
// 1.5 * 2^23 as float bits: integers within +-2^22 that are added to them make the bits of the float 1.5 * 2^23 + integer.
inline constexpr std::int32_t kQ8Magic = 0x4b400000;
struct Q8Block {
  std::int8_t values[kQ8Block];
  float scale;
  float scale_sum, half_sums[2];       // scale * sum(values)
  std::int32_t start, half_starts[2];  // kQ8Magic - 128 * sum(values): where a sum of (weight + 128) * value begins
  std::int32_t unused;                 // 0
};
static_assert(sizeof(Q8Block) == 64);
constexpr std::int64_t q8_blocks(std::int64_t width) { return (width + kQ8Block - 1) / kQ8Block; }
constexpr std::int64_t q8_row_bytes(std::int64_t width) {
  // An odd number of cache lines: rows at a power of two would share a few sets of each cache.
  return (q8_blocks(width) | 1) * static_cast<std::int64_t>(sizeof(Q8Block));
}

// Where block b of row t lies: at t * row_bytes + b * block_bytes.
struct Q8Layout {
  std::int64_t row_bytes, block_bytes;
};
constexpr Q8Layout q8_rows(std::int64_t width) { return {q8_row_bytes(width), sizeof(Q8Block)}; }
// Block after block of `rows` tokens: products of so many go through them all for each few rows of weights.
constexpr Q8Layout q8_interleaved(std::int64_t rows) {
  return {sizeof(Q8Block), rows * static_cast<std::int64_t>(sizeof(Q8Block))};
}
inline constexpr std::int64_t kInterleavedFrom = 5, kInterleavedTo = 16;  // rows for which it pays
constexpr Q8Layout q8_layout(std::int64_t rows, std::int64_t width) {
  return rows >= kInterleavedFrom && rows <= kInterleavedTo ? q8_interleaved(rows) : q8_rows(width);
}

// A bf16 row of `width` activations, for BF16 weights: zeros after the last, up to 64 bytes.
constexpr std::int64_t bf16_row_bytes(std::int64_t width) { return (width * 2 + 63) / 64 * 64; }

// out row t = q8 form of in row t (quantize_rows of the table), or bf16 form (round_rows; to nearest even, denormals to zero).
// Items: rows t. In q8 a zero or denormal block gets scale 0 and zero values; NaN and infinities in the input give NaN scales.
// They stay visible in the output of either, never undefined conversions.
struct QuantizeRowsArgs {
  const float* in;   // [rows, in_stride]
  std::byte* out;    // [rows] of q8_row_bytes(width), or of bf16_row_bytes(width)
  std::int64_t rows, width;
  std::int64_t in_stride = 0;   // floats; 0: width
  Q8Layout layout = {};         // of quantize_rows; zeros: q8_rows(width)
};

// out[t * out_stride + r] (+)= dot(weight row r, x[t]).  Items: weight rows r.
// x is f32 [n_tokens, n_in] for the matmul_f32 row of the table, q8 rows for matmul_q8, bf16 rows for matmul_bf16. On GPUs
// q8 rows begin at addresses that 16 divides.
// The sum over n_in has one order that depends on n_in and ISA alone, whatever n_tokens is.
struct MatMulArgs {
  const std::byte* weights;     // n_out rows of row_bytes bytes, in the file's layout; any alignment
  std::int64_t row_bytes;
  std::int64_t n_out, n_in;
  const void* x;
  std::int64_t n_tokens;
  float* out;
  std::int64_t out_stride;      // floats between tokens
  bool accumulate;
  std::int64_t x_stride_bytes = 0;  // between tokens; 0: x is packed
  std::int64_t x_block_bytes = 0;   // between a token's q8 blocks, of up to kInterleavedTo tokens; 0: side by side
};

// As MatMulArgs, for a matrix stored the other way round, [n_in, n_out]: out[t, r] (+)= sum over i of weights[i, r] * x[t, i].
// Items: columns r. Each sum goes over i one by one, so that n_in may be cut anywhere: a call with the next rows of the matrix
// and `accumulate` goes on with the same bits.
struct MatMulTransposedArgs {
  const std::byte* weights;     // n_in rows of row_bytes bytes; any alignment
  std::int64_t row_bytes;
  std::int64_t n_out, n_in;
  const float* x;               // [n_tokens, x_stride], the first n_in of each row
  std::int64_t x_stride, n_tokens;
  float* out;
  std::int64_t out_stride;      // floats between tokens
  bool accumulate;
};

// Rotates pairs among the first `dims` elements of each head, in place or into `out`. Items: tokens t.
struct RopeArgs {
  Vectors x;
  const float* cos;             // [tokens, dims/2], magnitude scaling folded in
  const float* sin;             // [tokens, dims/2]
  std::int64_t tokens, heads, dims;
  bool interleaved;             // pairs (2i, 2i+1), else (i, i + dims/2)
  Vectors out = {};             // gets the `dims` elements alone; no data: in place
};

// The nonlinear functions of feed-forward layers: x / (1 + e^-x); GELU by its tanh approximation,
// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))), and by definition, x * Phi(x); max(x, 0).
enum class Activation : std::uint8_t { kSilu, kGeluTanh, kGeluErf, kRelu };
inline constexpr int kActivationCount = 4;

// out[i] = f(in[i]), times up[i] unless up is null.  Items: rows. In-place (out == in or out == up) is allowed.
struct ActivateArgs {
  const float* in;              // [rows, in_stride]
  const float* up;              // [rows, up_stride], or null
  float* out;                   // [rows, out_stride]
  std::int64_t in_stride, up_stride, out_stride;
  std::int64_t rows, width;
};

// out[t, i] += in[t, i].  Items: rows. in_stride 0 adds one vector, a bias, to every row.
struct AddArgs {
  const float* in;
  float* out;
  std::int64_t in_stride, out_stride;
  std::int64_t rows, width;
};

// x = scale * x in place, or soft_cap * tanh(scale * x / soft_cap) where soft_cap > 0.  Items: rows.
struct ScaleArgs {
  float* x;
  std::int64_t stride;
  std::int64_t rows, width;
  float scale, soft_cap;
};

// out = dequantised weights of one row. Items: rows.
struct DequantizeRowsArgs {
  const std::byte* const* rows; // [n_rows] pointers to rows in the tensor's type
  float* out;                   // [n_rows, width]
  std::int64_t n_rows, width;
};

// One page of one layer of one sequence: K of each kv head, then V of each, page_tokens tokens of either; no V where
// values_in_keys: a value is then the first value_dim elements of its key.
//   V of a head: [page_tokens] rows of kv_bytes(values) bytes, in the layout that GGUF gives the type.
//   K of a head: [page_tokens / 16] groups of 16 * kv_bytes(keys) bytes, in which 16 keys lie side by side, so that a vector
//   takes one element of each: [key_dim][16 keys], of q8_0 [key_dim / 4][16 keys][4] codes, then [key_dim / 32][16 keys] f16
//   scales.
// q8_0 is ggml's: blocks of 32 elements, scale = max|x| / 127 rounded to f16, codes round(x / scale) by the scale not yet
// rounded. REQUIRES: kKvGroupKeys divides page_tokens and, on a GPU, 16 the addresses of pages.
// Writes token t of k and v to slot first_slot + t. Items: tokens t.
struct KvAppendArgs {
  Vectors k, v;                 // vector g of row t: kv head g of token t; v is not read where values_in_keys
  std::byte* const* pages;      // [n_pages] of the layer and sequence
  std::int64_t first_slot;      // index of token 0 in the sequence's KV: page first_slot / page_tokens
  std::int64_t tokens, kv_heads, key_dim, value_dim, page_tokens;
  KvTypes types;
  bool values_in_keys = false;
};

// A run of cached tokens that a query attends to. Key j of the segment has position first_position + j.
struct KvSegment {
  const std::byte* const* pages;  // pages of page_tokens tokens; the first key is slot 0 of pages[0]
  std::int64_t n_keys;
  std::int64_t first_position;
  bool causal;                    // else every query sees every key
};

// Keys of a segment are attended to in splits of this many, the first from its start (the last is what is left). A split's
// partial starts afresh, so splits can be computed side by side, and what comes out depends on lengths alone.
inline constexpr std::int64_t kSplitKeys = 512;
constexpr std::int64_t splits_of(std::int64_t n_keys) { return (n_keys + kSplitKeys - 1) / kSplitKeys; }

// What a split makes of one query: o [value_dim], not yet divided by l, then m (largest score) and l (sum of exp(score - m), 0
// if it saw no key).
constexpr std::int64_t partial_floats(std::int64_t value_dim) { return (value_dim + 2 + 15) / 16 * 16; }

// out[t, h] = softmax(cap(scale * q[t, h] . K)) V over all segments; a query at position p sees keys at positions <= p of causal
// segments, and of those only the last `window` (itself included) where window > 0: no page before that is read.
// cap(s) = soft_cap * tanh(s / soft_cap) where soft_cap > 0. Partials (o, m, l) of splits merge by log-sum-exp in order, segment
// after segment (DESIGN.md section 5). A query that sees no key gets zeros. Keys of q8_0 meet queries rounded to blocks of 32
// 8-bit codes with f32 scales, unless exact_queries.
// Items: (kv head g, token t) as g * tokens + t. What a query gets depends on its own position and the segments alone.
// On a GPU: segments, their pages and positions are read by the device alone, so the caller knows how many splits there are; a NaN
// or infinity among the values of a key may reach queries that do not see it; and calls for many tokens (kernels/attention.h) take
// queries, keys, weights and values of f16 and q8_0 as f16, unless exact_queries, so that what a query gets depends on that too.
// With `partials`, items are (kv head g, split s) as g * n_splits + s instead, each for all tokens; they write the partials, from
// which merge_partials makes the same bits.
struct AttentionArgs {
  Vectors q;                    // group g of a row: the heads / kv_heads queries of kv head g
  float* out;                   // [tokens, heads, value_dim]
  const KvSegment* segments;
  std::int64_t n_segments;
  const std::int32_t* positions;  // [tokens]
  std::int64_t tokens, heads, kv_heads, key_dim, value_dim, page_tokens;
  std::int64_t window;          // 0: none
  float scale;                  // most often 1 / sqrt(key_dim)
  float soft_cap;               // 0: none
  KvTypes types;
  bool values_in_keys = false;  // as in KvAppendArgs
  bool exact_queries = false;
  float* partials = nullptr;    // [n_splits, tokens, heads, partial_floats(value_dim)]
};

constexpr std::int64_t n_splits(const AttentionArgs& args) {
  std::int64_t n = 0;
  for (std::int64_t s = 0; s < args.n_segments; ++s) n += splits_of(args.segments[s].n_keys);
  return n;
}

// out[r] = the partials of row r, merged in the order of splits and divided by l; zeros where no split saw a key. Items: rows r.
struct MergePartialsArgs {
  const float* partials;        // [n_splits, rows, partial_floats(value_dim)]
  float* out;                   // [rows, value_dim]
  std::int64_t n_splits, rows, value_dim;
};

// How the scores of a router become probabilities: of one choice among all, or of each expert by itself.
enum class ExpertGate : std::uint8_t { kSoftmax, kSigmoid };
inline constexpr std::int64_t kMaxExperts = 1024;
// Added to the sum that shares are divided by: sigmoids can underflow. DeepSeek-V3's own code adds the same.
inline constexpr float kLeastShareSum = 1e-20f;

// The n_used experts of each row and their shares, of a mixture of experts. p = softmax(scores), or sigmoid of each score.
// The experts with the largest p + bias are chosen, best first. Where n_groups > 1 they are equal groups of neighbours, and only
// the n_groups_used best groups take part: a group is worth its best p + bias with softmax, the sum of its best two with sigmoid.
// Ties go to the lower index. share = p, divided by the sum of the chosen p where `normalise`, times `scale`.
// Items: rows. NaN scores give NaN shares of some n_used different experts.
struct ChooseExpertsArgs {
  const float* scores;          // [rows, n_experts], n_experts <= kMaxExperts
  const float* bias;            // [n_experts], or null
  std::int64_t rows, n_experts, n_used;
  std::int64_t n_groups, n_groups_used;  // n_used <= n_groups_used * n_experts / n_groups
  ExpertGate gate;
  bool normalise;
  float scale;
  std::int32_t* experts;        // [rows, n_used]
  float* shares;                // [rows, n_used]
};

// out[i] = in[sources[i]].  Items: rows of out.
struct GatherRowsArgs {
  const float* in;              // [any, in_stride]
  const std::int32_t* sources;  // [rows]
  float* out;                   // [rows, out_stride]
  std::int64_t in_stride, out_stride;
  std::int64_t rows, width;
};

// out[t] += sum over j < n_used of shares[t, j] * in[places[t, j]], added up in the order of j.  Items: rows t.
struct CombineRowsArgs {
  const float* in;              // [any, in_stride]
  const std::int32_t* places;   // [rows, n_used]
  const float* shares;          // [rows, n_used]
  float* out;                   // [rows, out_stride]
  std::int64_t in_stride, out_stride;
  std::int64_t rows, n_used, width;
};

// What the multipliers give when nothing has to be fetched: the shape of a matmul's inner loop on data that stays in the
// first-level cache. sums[round] = the sum over i and t of data[i] * x[t], kBurstPasses times, in f32 where the op is of floats.
// Items: rounds of kBurstPasses passes over the data: some microseconds each.
inline constexpr std::int64_t kBurstBytes = 8192;  // 8-bit codes below 16, or floats
inline constexpr std::int64_t kBurstTokens = 6, kBurstPasses = 16;
struct BurstArgs {
  const std::byte* data;        // [kBurstBytes], 64-byte aligned
  const std::byte* x;           // [kBurstTokens] of four equal int8 of -8 to 8, or floats
  float* sums;                  // [rounds]
};
// Multiplications and additions of a round.
constexpr std::int64_t burst_ops(std::int64_t element_bytes) {
  return 2 * kBurstPasses * kBurstTokens * kBurstBytes / element_bytes;
}

}  // namespace windlass

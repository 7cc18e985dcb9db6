// The contract of each op: one POD of pointers and sizes. Per-ISA files include this, so: PODs only, no std:: code.
// All matrices are row-major. Buffers never alias unless said. No op allocates, throws or locks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace windlass {

// Work items [begin, end) of an op: the unit is stated at each struct. Any split of the items over calls and threads gives
// bit-identical results (law 2).
struct WorkRange {
  std::int64_t begin, end;
};

// out[t, i] = in[t, i] / sqrt(mean_i(in[t]^2) + epsilon) * weight[i].  Items: rows t. In-place (out == in) is allowed.
struct RmsNormArgs {
  const float* in;       // [rows, width]
  const float* weight;   // [width]
  float* out;            // [rows, width]
  std::int64_t rows, width;
  float epsilon;
};

// A q8 row of `width` activations: blocks of 32, symmetric, scale = max|x| / 127 (f32), for quantised matmuls.
// Layout of one row, all parts 64-byte aligned when the row is: int8 values[width padded to 64], then per block
// float scale, then per block float scale_sum = scale * sum(values), then per block two floats half_sum, the same of its
// first and its last 16 values (for types with a scale for 16 weights). The last block of a ragged width is zero padded.
inline constexpr std::int64_t kQ8Block = 32;
constexpr std::int64_t q8_blocks(std::int64_t width) { return (width + kQ8Block - 1) / kQ8Block; }
constexpr std::int64_t q8_values_bytes(std::int64_t width) { return (width + 63) / 64 * 64; }
constexpr std::int64_t q8_scales_bytes(std::int64_t width) { return (q8_blocks(width) * 4 + 63) / 64 * 64; }
constexpr std::int64_t q8_row_bytes(std::int64_t width) {
  return q8_values_bytes(width) + 4 * q8_scales_bytes(width);
}

// out row t = q8 form of in row t. Items: rows t. A zero or denormal block gets scale 0 and zero values; NaN and
// infinities in the input give NaN scales (they stay visible in the output), never undefined conversions.
struct QuantizeRowsArgs {
  const float* in;   // [rows, width]
  std::byte* out;    // [rows] of q8_row_bytes(width)
  std::int64_t rows, width;
};

// out[t * out_stride + r] (+)= dot(weight row r, x[t]).  Items: weight rows r.
// x is f32 [n_tokens, n_in] for the matmul_f32 row of the table, q8 rows for matmul_q8.
// The sum over n_in has one order that depends on n_in and ISA alone; between n_tokens == 1 and more it may differ.
struct MatMulArgs {
  const std::byte* weights;     // n_out rows of row_bytes bytes, in the file's layout; any alignment
  std::int64_t row_bytes;
  std::int64_t n_out, n_in;
  const void* x;
  std::int64_t n_tokens;
  float* out;
  std::int64_t out_stride;      // floats between tokens
  bool accumulate;
};

// Rotates pairs of each head in place. Items: tokens t.
struct RopeArgs {
  float* x;                     // [tokens, heads, head_dim]
  const float* cos;             // [tokens, dims/2], magnitude scaling folded in
  const float* sin;             // [tokens, dims/2]
  std::int64_t tokens, heads, head_dim, dims;
  bool interleaved;             // pairs (2i, 2i+1), else (i, i + dims/2)
};

// out[i] = gate[i] / (1 + exp(-gate[i])) * up[i].  Items: rows. In-place (out == gate or out == up) is allowed.
struct SwiGluArgs {
  const float* gate;            // [rows, width]
  const float* up;              // [rows, width]
  float* out;                   // [rows, width]
  std::int64_t rows, width;
};

// out = dequantised weights of one row. Items: rows.
struct DequantizeRowsArgs {
  const std::byte* const* rows; // [n_rows] pointers to rows in the tensor's type
  float* out;                   // [n_rows, width]
  std::int64_t n_rows, width;
};

// One page of one layer of one sequence: K [kv_heads, page_tokens, head_dim], then V likewise, f16 or f32.
// Writes token t of k and v to slot positions. Items: tokens t.
struct KvAppendArgs {
  const float* k;               // [tokens, kv_heads, head_dim]
  const float* v;               // [tokens, kv_heads, head_dim]
  std::byte* const* pages;      // [n_pages] of the layer and sequence
  std::int64_t first_slot;      // index of token 0 in the sequence's KV: page first_slot / page_tokens
  std::int64_t tokens, kv_heads, head_dim, page_tokens;
};

// A run of cached tokens that a query attends to. Key j of the segment has position first_position + j.
struct KvSegment {
  const std::byte* const* pages;  // pages of page_tokens tokens; the first key is slot 0 of pages[0]
  std::int64_t n_keys;
  std::int64_t first_position;
  bool causal;                    // else every query sees every key
};

// out[t, h] = softmax(scale * q[t, h] . K) V over all segments; a query at position p sees keys at positions <= p of
// causal segments. Partials (o, m, l) of segments merge by log-sum-exp in list order (DESIGN.md section 5).
// Items: (token t, kv head g) as t * kv_heads + g.  A query that sees no key gets zeros.
struct AttentionArgs {
  const float* q;               // [tokens, heads, head_dim]
  float* out;                   // [tokens, heads, head_dim]
  const KvSegment* segments;
  std::int64_t n_segments;
  const std::int32_t* positions;  // [tokens]
  std::int64_t tokens, heads, kv_heads, head_dim, page_tokens;
  float scale;                  // 1 / sqrt(head_dim)
};

}  // namespace windlass
